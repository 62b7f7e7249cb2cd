//! A server on a port of the kernel's choice that answers as a test wants it to, byte for byte, and remembers what
//! it was asked. It ends with the test.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use url::Url;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// The request target, as in `/list?key=…`.
    pub(crate) target: String,
    /// All lines of the head.
    pub(crate) head: String,
}

/// A server.
pub(crate) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    requests: Arc<Mutex<Vec<Request>>>,
    is_over: Arc<AtomicBool>,
}

/// What a test does with a request: writes whatever it likes.
type Answer = dyn Fn(&Request, &mut dyn Stream) -> io::Result<()> + Send + Sync;

/// A connection.
pub(crate) trait Stream: Read + Write {
    /// The socket itself, where nothing lies in between.
    fn socket(&self) -> Option<TcpStream>;
}

impl Stream for TcpStream {
    fn socket(&self) -> Option<TcpStream> {
        self.try_clone().ok()
    }
}

impl Stream for StreamOwned<ServerConnection, TcpStream> {
    fn socket(&self) -> Option<TcpStream> {
        None
    }
}

impl Request {
    /// A header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    /// A parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let url = Url::parse("http://server").unwrap().join(&self.target).unwrap();
        url.query_pairs().find(|(other, _)| other == name).map(|(_, value)| value.into_owned())
    }
}

impl Server {
    /// One that speaks HTTP.
    pub(crate) fn start(
        answer: impl Fn(&Request, &mut dyn Stream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(None, Arc::new(answer))
    }

    /// One that speaks HTTPS.
    pub(crate) fn secure(
        config: Arc<ServerConfig>,
        answer: impl Fn(&Request, &mut dyn Stream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(config), Arc::new(answer))
    }

    fn listen(config: Option<Arc<ServerConfig>>, answer: Arc<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if config.is_some() { "https" } else { "http" };
        let requests = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let server = Self { address, scheme, requests: Arc::clone(&requests), is_over: Arc::clone(&is_over) };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let (config, answer, requests) = (config.clone(), Arc::clone(&answer), Arc::clone(&requests));
                // A client that goes away in the middle is nothing to talk about.
                thread::spawn(move || stream.map(|stream| serve(stream, config, &*answer, &requests)));
            }
        });
        server
    }

    /// An address of it, by the name `localhost`.
    pub(crate) fn url(&self, target: &str) -> Url {
        format!("{}://localhost:{}{target}", self.scheme, self.address.port()).parse().unwrap()
    }

    /// The same, by another name: `127.0.0.1`.
    pub(crate) fn other_url(&self, target: &str) -> Url {
        format!("{}://{}{target}", self.scheme, self.address).parse().unwrap()
    }

    /// What it was asked, in order.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(
    stream: TcpStream,
    config: Option<Arc<ServerConfig>>,
    answer: &Answer,
    requests: &Mutex<Vec<Request>>,
) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    let mut stream: Box<dyn Stream> = match config {
        None => Box::new(stream),
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            Box::new(StreamOwned::new(connection, stream))
        }
    };
    let mut head = String::new();
    let mut reader = BufReader::new(&mut stream);
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let request = Request { target, head };
    requests.lock().unwrap().push(request.clone());
    answer(&request, &mut *stream)?;
    stream.flush()
}

/// An answer with a length.
pub(crate) fn reply(
    to: &mut dyn Write,
    status: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<()> {
    write!(to, "HTTP/1.1 {status}\r\nConnection: close\r\n")?;
    for (name, value) in headers {
        write!(to, "{name}: {value}\r\n")?;
    }
    write!(to, "Content-Length: {}\r\n\r\n", body.len())?;
    to.write_all(body)
}
