//! What holds of devices by hand for a time: quarantine and bypass.

use aya::maps::MapError;
use iomt_filter_common::exception::Exception;

use super::load::Datapath;
use super::lock::WriterToken;

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
