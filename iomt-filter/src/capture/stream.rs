//! Bytes in their order, and where in the file they stand.

use std::io::{ErrorKind, Read};

use super::CaptureError;

/// What is read from, with the offset of the record that is being read.
pub(super) struct Stream {
    source: Box<dyn Read>,
    offset: u64,
    record: u64,
}

impl Stream {
    pub(super) const fn new(source: Box<dyn Read>) -> Self {
        Self { source, offset: 0, record: 0 }
    }

    /// Bytes read so far.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the record begins that errors name.
    pub(super) const fn record(&self) -> u64 {
        self.record
    }

    /// The first bytes of a record; `None` where the file ends instead.
    pub(super) fn begin<const N: usize>(&mut self) -> Result<Option<[u8; N]>, CaptureError> {
        self.record = self.offset;
        match self.array() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(CaptureError::Truncated { .. }) if self.offset == self.record => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], CaptureError> {
        let mut bytes = [0; N];
        let mut filled = 0;
        while filled < N {
            match self.source.read(&mut bytes[filled..]) {
                Ok(0) => return Err(CaptureError::Truncated { offset: self.record }),
                Ok(count) => {
                    filled += count;
                    self.offset += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(CaptureError::Read(error)),
            }
        }
        Ok(bytes)
    }

    /// The next `length` bytes; memory grows with what is there, not with what a header claims.
    pub(super) fn bytes(&mut self, length: u32) -> Result<Vec<u8>, CaptureError> {
        let mut bytes = Vec::new();
        let wanted = u64::from(length);
        let count = (&mut self.source).take(wanted).read_to_end(&mut bytes).map_err(CaptureError::Read)?;
        self.offset += count as u64;
        if (count as u64) < wanted {
            return Err(CaptureError::Truncated { offset: self.record });
        }
        Ok(bytes)
    }

    /// An error about the record that is being read.
    pub(super) const fn damaged(&self, what: &'static str) -> CaptureError {
        CaptureError::Damaged { offset: self.record, what }
    }
}
