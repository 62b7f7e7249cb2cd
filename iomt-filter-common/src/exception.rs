//! What holds of a device for a time because somebody said so, whatever its profile says.

/// Until when a device is cut off or let through: 16 bytes, a table value. All zero is no exception.
///
/// Times are nanoseconds of `CLOCK_BOOTTIME`: an exception ends by itself, whoever is there to see it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exception {
    /// Until then it is in quarantine.
    pub quarantined_until: u64,
    /// Until then it is open: nothing that policy or lists say of it drops. In the row of device 0: until then
    /// nothing drops at all.
    pub open_until: u64,
}

impl Exception {
    /// Whether the device is in quarantine at `now`, which goes before being open.
    #[inline(always)]
    pub const fn quarantines(&self, now: u64) -> bool {
        now < self.quarantined_until
    }

    /// Whether the device is open at `now`.
    #[inline(always)]
    pub const fn opens(&self, now: u64) -> bool {
        now < self.open_until
    }

    /// Whether there was ever one that has not been taken back.
    #[inline(always)]
    pub const fn is_some(&self) -> bool {
        self.quarantined_until | self.open_until != 0
    }
}
