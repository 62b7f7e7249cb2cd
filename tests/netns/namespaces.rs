//! The namespaces themselves: they carry traffic, and nothing of them stays behind.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use iomt_filter_tests::netns::{Namespace, Netns};

use crate::can_run;

fn exists(name: &str) -> bool {
    std::path::Path::new("/run/netns").join(name).exists()
}

fn pair(netns: &mut Netns) -> (Namespace, Namespace) {
    let (device, server) = (netns.add("device").unwrap(), netns.add("server").unwrap());
    netns.cable((&device, "eth0"), (&server, "eth0")).unwrap();
    for (namespace, last) in [(&device, 1), (&server, 2)] {
        namespace.address("eth0", &format!("10.99.0.{last}/24")).unwrap();
        namespace.address("eth0", &format!("fd00:99::{last}/64")).unwrap();
    }
    (device, server)
}

#[test]
fn sockets_of_two_namespaces_reach_each_other_by_ipv4_and_ipv6() {
    if !can_run() {
        return;
    }
    let mut netns = Netns::new(crate::PREFIX);
    let (device, server) = pair(&mut netns);
    for (client, address) in [("10.99.0.1:0", "10.99.0.2:104"), ("[fd00:99::1]:0", "[fd00:99::2]:104")] {
        let listening = server.inside(|| UdpSocket::bind(address)).unwrap().unwrap();
        let sending = device.inside(|| UdpSocket::bind(client)).unwrap().unwrap();
        sending.send_to(b"hello", address).unwrap();
        listening.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(listening.recv(&mut buffer).unwrap(), 5);
    }
}

#[test]
fn a_thread_that_entered_comes_back() {
    if !can_run() {
        return;
    }
    let inode = || std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let mut netns = Netns::new(crate::PREFIX);
    let namespace = netns.add("only").unwrap();
    let before = inode();
    let entered = namespace.enter().unwrap();
    assert_ne!(inode(), before);
    drop(entered);
    assert_eq!(inode(), before);
}

#[test]
fn two_sets_with_the_same_names_live_side_by_side() {
    if !can_run() {
        return;
    }
    let (mut one, mut two) = (Netns::new(crate::PREFIX), Netns::new(crate::PREFIX));
    let ((a, _), (b, _)) = (pair(&mut one), pair(&mut two));
    assert_ne!(a.name(), b.name());
    drop(one);
    assert!(!exists(a.name()) && exists(b.name()));
}

#[test]
fn nothing_stays_behind_a_panic_not_even_a_grandchild() {
    if !can_run() {
        return;
    }
    let (send, receive) = std::sync::mpsc::channel();
    let panicked = std::thread::spawn(move || {
        let mut netns = Netns::new(crate::PREFIX);
        let namespace = netns.add("doomed").unwrap();
        netns.spawn(&namespace, &["sh", "-c", "sleep 1000 & echo $!; wait"]).unwrap();
        // A second one whose parent is gone at once.
        let orphan = namespace.run(&["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]).unwrap();
        send.send((namespace.name().to_owned(), orphan.trim().to_owned())).unwrap();
        panic!("on purpose");
    })
    .join();
    assert!(panicked.is_err());
    let (name, orphan) = receive.recv().unwrap();
    assert!(!exists(&name));
    let started = Instant::now();
    while is_running(&orphan) {
        assert!(started.elapsed() < Duration::from_secs(5), "process {orphan} still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process runs; one that only waits for its parent to notice does not.
fn is_running(process: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

#[test]
fn a_failing_command_says_which_and_why() {
    if !can_run() {
        return;
    }
    let mut netns = Netns::new(crate::PREFIX);
    let namespace = netns.add("only").unwrap();
    let error = namespace.run(&["sh", "-c", "echo broken >&2; exit 3"]).unwrap_err().to_string();
    assert!(error.contains("broken") && error.contains("exit status: 3"), "{error}");
}
