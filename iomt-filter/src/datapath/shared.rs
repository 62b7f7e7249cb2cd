//! Memory of array maps that is shared with the kernel, as words.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::unistd::{SysconfVar, sysconf};

/// The values of an array map that was made to be mapped, one behind the other.
#[derive(Debug)]
pub(super) struct SharedWords {
    first: NonNull<AtomicU64>,
    words: usize,
    /// Bytes that are mapped: whole pages.
    length: usize,
}

// SAFETY: the memory is shared, and only ever read and written as atomic words.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Maps the first `words` of an array map into this process.
    pub(super) fn map(map: impl AsFd, words: usize) -> io::Result<Self> {
        let page =
            sysconf(SysconfVar::PAGE_SIZE)?.and_then(|size| usize::try_from(size).ok()).unwrap_or(4096);
        let bytes = words.checked_mul(size_of::<u64>()).ok_or(io::ErrorKind::InvalidInput)?;
        let length = NonZeroUsize::new(bytes.next_multiple_of(page)).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping, at an address of the kernel's choice, of a map made for it.
        let first = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, map, 0) }?;
        Ok(Self { first: first.cast(), words, length: length.get() })
    }

    /// The word at `index`.
    ///
    /// # Panics
    /// Behind the last one.
    pub(super) fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.words, "word {index} of {}", self.words);
        // SAFETY: the mapping holds so many words.
        let word = unsafe { self.first.add(index) };
        // SAFETY: it is aligned to a page, and lives as long as `self`.
        unsafe { word.as_ref() }
    }

    /// Writes words from the one at `first` on.
    ///
    /// # Panics
    /// Behind the last one.
    pub(super) fn write(&self, first: usize, words: &[u64]) {
        for (index, word) in (first..).zip(words) {
            self.word(index).store(*word, Ordering::Relaxed);
        }
    }

    /// Hands words from the one at `first` on to `each`.
    ///
    /// # Panics
    /// Behind the last one.
    pub(super) fn read(&self, first: usize, count: usize, mut each: impl FnMut(u64)) {
        (first..first + count).for_each(|index| each(self.word(index).load(Ordering::Relaxed)));
    }

    /// Makes every word zero.
    pub(super) fn clear(&self) {
        (0..self.words).for_each(|index| self.word(index).store(0, Ordering::Relaxed));
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made, unmapped once; what fails here ends with the process.
        let _ = unsafe { munmap(self.first.cast(), self.length) };
    }
}
