//! An explanation for people: a line a stage.
//!
//! Names come from files that a person wrote: a control character in one must not reach a terminal.

use std::fmt;

use super::{Explanation, Judged, Packet};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.opening)?;
        match &self.answer {
            Some(answer) => write!(f, "\n\n{answer}")?,
            None if self.is_cut() => f.write_str("\n\nno answer: nothing arrives that could be answered")?,
            None => f.write_str("\n\nno answer that could be foretold")?,
        }
        for note in &self.notes {
            write!(f, "\nnote: {}", plain(note))?;
        }
        Ok(())
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.packet)?;
        for (number, step) in (1..).zip(&self.stages) {
            let line = format!("{number:>3} {:<13} {:<11}  {}", step.name, step.result, plain(&step.detail));
            writeln!(f, "{}", line.trim_end())?;
        }
        write!(f, "{} {}, generation {}", self.verdict, self.reason, self.generation)?;
        match &self.next {
            Some(next) => write!(f, "\nnext: {}", plain(next)),
            None => Ok(()),
        }
    }
}

/// `10.10.0.11:49152 → 203.0.113.9:443/tcp S`
impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |address: Option<std::net::IpAddr>, port: Option<u16>| match (address, port) {
            (Some(address), Some(port)) => std::net::SocketAddr::new(address, port).to_string(),
            (Some(address), None) => address.to_string(),
            (None, _) => String::new(),
        };
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let (source, destination) =
            (end(self.source, self.source_port), end(self.destination, self.destination_port));
        write!(f, "{source} → {destination}/{protocol}")?;
        match &self.tcp_flags {
            Some(flags) => write!(f, " {flags}"),
            None => Ok(()),
        }
    }
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
