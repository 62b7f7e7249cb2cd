//! What holds of devices by hand for a time: quarantine and bypass.

use std::collections::BTreeMap;

use aya::maps::MapError;
use iomt_filter_common::exception::Exception;

use super::load::Datapath;
use super::lock::WriterToken;
use crate::clock::boottime;

impl Datapath {
    /// Makes `exception` hold for a device at once; that of device 0 is for every frame.
    ///
    /// # Errors
    /// When the kernel refuses the row.
    pub fn set_exception(
        &mut self,
        device: u32,
        exception: Exception,
        token: &WriterToken,
    ) -> Result<(), MapError> {
        let before = self.exception(device)?;
        if before == exception {
            return Ok(());
        }
        self.maps.exceptions.set(device, exception, 0)?;
        if exception.quarantined_until > before.quarantined_until {
            // Flows of the device take a short way that does not ask who is in quarantine.
            self.judge_anew(token);
        }
        Ok(())
    }

    /// How many devices have something else by hand than `wanted` says. What has ended is as good as none.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn exceptions_drift(&self, wanted: &BTreeMap<u32, Exception>) -> Result<usize, MapError> {
        let now = boottime();
        let left = |row: Exception| {
            [row.quarantined_until, row.open_until].map(|until| if until > now { until } else { 0 })
        };
        let mut differ = 0;
        for device in 0..self.device_capacity {
            let wanted = wanted.get(&device).copied().unwrap_or_default();
            differ += usize::from(left(self.exception(device)?) != left(wanted));
        }
        Ok(differ)
    }

    /// Rows for devices, that of no device included.
    #[must_use]
    pub const fn device_capacity(&self) -> u32 {
        self.device_capacity
    }

    /// What holds for a device by hand.
    ///
    /// # Errors
    /// When the kernel refuses the read.
    pub fn exception(&self, device: u32) -> Result<Exception, MapError> {
        self.maps.exceptions.get(&device, 0)
    }
}
