//! How many requests are answered at once. Those who may only read have room of their own, so that root is
//! answered however much they ask.
//!
//! A place is held until the work for a request is done, whether anybody still waits for it or not, and until
//! a long answer has been taken.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::access::Peer;

/// Requests that only read, at once; a status with a thousand devices takes a processor for a while.
const READING: usize = 4;
/// How long one of them may wait for a place.
const PATIENCE: Duration = Duration::from_secs(2);
/// Changes at once. The others wait as long as it takes: what is to be blocked is not turned away because
/// others block too.
const CHANGING: usize = 4;
/// Longest answer that is sent in one piece, and the pieces of longer ones, in bytes.
const PIECE: usize = 256 << 10;
/// How long nothing of a longer one may be taken.
const STALL: Duration = Duration::from_secs(30);

/// A place among those that are answered.
pub(super) type Place = OwnedSemaphorePermit;

/// No place is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy(pub(super) &'static str);

/// All places.
#[derive(Debug)]
pub(super) struct Room {
    readers: Places,
    writers: Places,
    changes: Arc<Semaphore>,
}

#[derive(Debug)]
struct Places {
    reading: Arc<Semaphore>,
    questions: Arc<Semaphore>,
    plans: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self { reading: places(READING), questions: places(1), plans: places(1) }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self {
            readers: Places::default(),
            writers: Places::default(),
            changes: Arc::new(Semaphore::new(CHANGING)),
        }
    }
}

impl Room {
    /// A place to read.
    ///
    /// # Errors
    /// When none gets free in time.
    pub(super) async fn reading(&self, peer: &Peer) -> Result<Place, Busy> {
        let free = timeout(PATIENCE, self.places(peer).reading.clone().acquire_owned()).await;
        free.ok().and_then(Result::ok).ok_or(Busy("it answers as many requests at once as it may"))
    }

    /// The place to have a packet explained, for which a program is loaded.
    ///
    /// # Errors
    /// When it is taken.
    pub(super) fn question(&self, peer: &Peer) -> Result<Place, Busy> {
        let free = self.places(peer).questions.clone().try_acquire_owned();
        free.map_err(|_| Busy("it explains one packet at a time"))
    }

    /// The place to have a plan made, for which everything is read.
    ///
    /// # Errors
    /// When it is taken.
    pub(super) fn plan(&self, peer: &Peer) -> Result<Place, Busy> {
        let free = self.places(peer).plans.clone().try_acquire_owned();
        free.map_err(|_| Busy("it makes one plan at a time"))
    }

    /// A place to change something.
    ///
    /// # Errors
    /// None are known.
    pub(super) async fn change(&self) -> Result<Place, Busy> {
        self.changes.clone().acquire_owned().await.map_err(|_| Busy("it stops"))
    }

    fn places(&self, peer: &Peer) -> &Places {
        if peer.may_write() { &self.writers } else { &self.readers }
    }
}

/// An answer on its way. A long one that nobody takes gives its place, and the memory, back.
pub(super) fn body(answer: Bytes, place: Place) -> Body {
    if answer.len() <= PIECE {
        return Body::from(answer);
    }
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(hand_out(answer, sender, place));
    Body::from_stream(futures_util::stream::unfold(Some(receiver), next_piece))
}

/// An answer that is read while it is taken, piece by piece.
pub(super) fn pieces(source: impl io::Read + Send + 'static, place: Place) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(hand_out_of(source, sender, place));
    Body::from_stream(futures_util::stream::unfold(Some(receiver), next_piece))
}

async fn hand_out_of(
    mut source: impl io::Read + Send + 'static,
    sender: mpsc::Sender<Option<Bytes>>,
    _place: Place,
) {
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::new();
            let read = source.by_ref().take(PIECE as u64).read_to_end(&mut piece);
            read.map(|_| (source, piece))
        });
        let Ok(Ok((rest, piece))) = read.await else { return };
        source = rest;
        let is_last = piece.is_empty();
        let piece = (!is_last).then(|| piece.into());
        if !matches!(timeout(STALL, sender.send(piece)).await, Ok(Ok(()))) || is_last {
            return;
        }
    }
}

async fn hand_out(mut answer: Bytes, sender: mpsc::Sender<Option<Bytes>>, _place: Place) {
    while !answer.is_empty() {
        let piece = answer.split_to(answer.len().min(PIECE));
        if !matches!(timeout(STALL, sender.send(Some(piece))).await, Ok(Ok(()))) {
            return;
        }
    }
    let _ = timeout(STALL, sender.send(None)).await;
}

type Pieces = mpsc::Receiver<Option<Bytes>>;

/// An answer that ends without its last piece is broken off, so that nobody takes it for whole.
async fn next_piece(pieces: Option<Pieces>) -> Option<(io::Result<Bytes>, Option<Pieces>)> {
    let mut pieces = pieces?;
    match pieces.recv().await {
        Some(Some(piece)) => Some((Ok(piece), Some(pieces))),
        Some(None) => None,
        None => Some((Err(io::ErrorKind::TimedOut.into()), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    #[test]
    fn readers_who_take_all_their_places_leave_root_its_own() {
        run(async {
            let (room, reader, root) = (Room::default(), Peer::reader(), Peer::writer());
            let mut taken = Vec::new();
            for _ in 0..READING {
                taken.push(room.reading(&reader).await.unwrap());
            }
            let question = (room.question(&reader).unwrap(), room.plan(&reader).unwrap());
            assert!(room.reading(&reader).await.is_err(), "one more waits, and not for ever");
            assert!(room.question(&reader).is_err() && room.plan(&reader).is_err());
            assert!(room.reading(&root).await.is_ok());
            assert!(room.question(&root).is_ok() && room.plan(&root).is_ok());
            drop((taken, question));
            assert!(room.reading(&reader).await.is_ok() && room.question(&reader).is_ok());
        });
    }

    #[test]
    fn a_long_answer_arrives_whole_and_gives_its_place_back() {
        run(async {
            let room = Room::default();
            for length in [0, PIECE, PIECE + 1, 5 * PIECE] {
                let question = room.question(&Peer::reader()).unwrap();
                let body = body(vec![7; length].into(), question);
                assert_eq!(room.question(&Peer::reader()).is_err(), length > PIECE, "{length}");
                assert_eq!(body.collect().await.unwrap().to_bytes(), vec![7; length]);
                tokio::task::yield_now().await;
                assert!(room.question(&Peer::reader()).is_ok(), "{length}");
            }
        });
    }

    #[test]
    fn what_is_read_piece_by_piece_arrives_whole_and_is_broken_off_where_it_cannot_be_read() {
        struct Fails(usize);
        impl io::Read for Fails {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let some = self.0.min(buffer.len());
                self.0 -= some;
                if some == 0 { Err(io::ErrorKind::InvalidData.into()) } else { Ok(some) }
            }
        }
        run(async {
            let room = Room::default();
            let place = async || room.reading(&Peer::reader()).await.unwrap();
            for length in [0, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE] {
                let body = pieces(io::Cursor::new(vec![7; length]), place().await);
                assert_eq!(body.collect().await.unwrap().to_bytes(), vec![7; length]);
            }
            assert!(pieces(Fails(3 * PIECE), place().await).collect().await.is_err());
        });
    }

    #[test]
    fn a_long_answer_that_nobody_waits_for_gives_its_place_back() {
        run(async {
            let room = Room::default();
            drop(body(vec![7; 5 * PIECE].into(), room.question(&Peer::reader()).unwrap()));
            tokio::task::yield_now().await;
            assert!(room.question(&Peer::reader()).is_ok());
        });
    }

    #[test]
    fn an_answer_that_was_given_up_midway_is_not_taken_for_whole() {
        run(async {
            let (sender, receiver) = mpsc::channel(2);
            sender.send(Some(Bytes::from_static(b"[1,"))).await.unwrap();
            drop(sender);
            let stream = futures_util::stream::unfold(Some(receiver), next_piece);
            assert!(Body::from_stream(stream).collect().await.is_err());
        });
    }
}
