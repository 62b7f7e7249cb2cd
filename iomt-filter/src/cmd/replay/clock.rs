//! What the program takes for the time while it judges a capture.
//!
//! A capture's times go in, a clock that never goes back comes out. It begins with the capture and then
//! advances by the difference from one frame to the next, so that one time that is wrong costs nothing behind
//! it:
//!
//! * a jump of more than an hour that the next frame takes back advances nothing
//! * a frame that is behind, while the next one is where the capture was before, is out of order: it advances
//!   nothing
//! * a frame that is behind, and the next one too: the capture's clock was put back, or another capture
//!   follows. Nothing advances, and the differences count from there
//!
//! A frame without a time is judged at the time of the one before.

/// What no two frames in a row are apart, in nanoseconds, unless the capture really paused that long.
const JUMP: u64 = 3_600_000_000_000;

/// The clock of one replay.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// Nanoseconds; never less than before.
    now: u64,
    /// The capture's time that the next difference counts from.
    reference: Option<u64>,
}

impl Clock {
    /// The time to judge a frame at. `time` is the capture's for it, `next` for the frame behind it; nanoseconds
    /// since 1970, `None` where there is none.
    pub(super) fn advance(&mut self, time: Option<u64>, next: Option<u64>) -> u64 {
        let Some(time) = time else { return self.now };
        let Some(reference) = self.reference else {
            // The first frame has one neighbour only.
            let begin = next.filter(|next| is_jump(*next, time)).unwrap_or(time);
            (self.now, self.reference) = (self.now.max(begin), Some(begin));
            return self.now;
        };
        let is_taken_back = is_jump(reference, time) && next.is_some_and(|next| is_jump(next, time));
        let is_late =
            time < reference && next.is_some_and(|next| next >= reference && !is_jump(reference, next));
        if !is_taken_back && !is_late {
            self.now = self.now.saturating_add(time.saturating_sub(reference));
            self.reference = Some(time);
        }
        self.now
    }
}

/// Whether `to` lies further ahead of `from` than frames are apart.
const fn is_jump(from: u64, to: u64) -> bool {
    to.saturating_sub(from) > JUMP
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const BEGIN: u64 = 1_795_442_531 * SECOND;
    const YEAR: u64 = 365 * 86_400 * SECOND;

    /// The seconds that the clock has advanced at each frame, whose times are seconds too.
    fn seconds(times: &[u64]) -> Vec<u64> {
        let times: Vec<Option<u64>> = times.iter().map(|time| Some(BEGIN + time * SECOND)).collect();
        judged(&times).into_iter().map(|now| (now - BEGIN) / SECOND).collect()
    }

    fn judged(times: &[Option<u64>]) -> Vec<u64> {
        let mut clock = Clock::default();
        let next = times.iter().skip(1).copied().chain([None]);
        times.iter().zip(next).map(|(time, next)| clock.advance(*time, next)).collect()
    }

    #[test]
    fn time_passes_as_in_the_capture() {
        assert_eq!(seconds(&[0, 1, 1, 5, 3_000]), [0, 1, 1, 5, 3_000]);
    }

    #[test]
    fn one_frame_from_the_future_is_passed_over() {
        assert_eq!(seconds(&[0, 1, 9_000_000, 2, 3]), [0, 1, 1, 2, 3]);
        assert_eq!(seconds(&[0, 8_000_000, 1, 9_000_000, 2]), [0, 0, 1, 1, 2]);
    }

    #[test]
    fn a_capture_may_begin_with_it() {
        let times = [BEGIN + YEAR, BEGIN, BEGIN + SECOND].map(Some);
        assert_eq!(judged(&times), [BEGIN, BEGIN, BEGIN + SECOND]);
    }

    #[test]
    fn a_pause_is_no_jump() {
        assert_eq!(seconds(&[0, 1, 9_000, 9_001]), [0, 1, 9_000, 9_001]);
        assert_eq!(seconds(&[0, 1, 9_000]), [0, 1, 9_000], "nobody takes the last one back");
    }

    #[test]
    fn a_jump_that_lasts_is_the_captures_time() {
        assert_eq!(seconds(&[0, 9_000, 9_001, 2, 3, 4]), [0, 9_000, 9_001, 9_001, 9_002, 9_003]);
    }

    #[test]
    fn frames_out_of_order_cost_no_time() {
        assert_eq!(seconds(&[10, 9, 11, 8, 12]), [10, 10, 11, 11, 12]);
        assert_eq!(seconds(&[100, 50, 101, 51, 102]), [100, 100, 101, 101, 102], "two captures in one");
    }

    #[test]
    fn a_clock_that_was_put_back_goes_on() {
        assert_eq!(seconds(&[5_000, 5_001, 0, 1, 2]), [5_000, 5_001, 5_001, 5_002, 5_003]);
        assert_eq!(seconds(&[100, 50, 9_000, 51, 9_000, 52, 53]), [100, 100, 100, 101, 101, 102, 103]);
    }

    #[test]
    fn frames_without_a_time_are_judged_with_the_one_before() {
        let at = |seconds| Some(BEGIN + seconds * SECOND);
        assert_eq!(judged(&[None, at(0), None, at(2)]), [0, BEGIN, BEGIN, BEGIN + 2 * SECOND]);
    }

    #[test]
    fn it_never_goes_back_and_never_overflows() {
        let times = [0, u64::MAX, u64::MAX, 0, 1, u64::MAX, u64::MAX, 7].map(Some);
        assert!(judged(&times).windows(2).all(|pair| pair[0] <= pair[1]));
    }
}
