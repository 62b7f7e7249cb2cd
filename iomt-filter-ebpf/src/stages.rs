//! Functions that the verifier looks at one by one.
//!
//! A function with a symbol of its own is a BPF 'global function': the verifier walks it once, for any
//! arguments, and knows nothing of what comes back. So the work adds up over the stages; inlined or
//! local, every way through one stage would be walked again behind every way through the one before.

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use iomt_filter_common::decide::{self, Stage};
use iomt_filter_common::{Case, parse};

use crate::frame::Frame;
use crate::maps::Maps;
use crate::report;

/// Reads the frame into the case.
#[inline(always)]
pub(crate) fn read_frame(context: &XdpContext, case: &mut Case) {
    iomt_read(context.ctx, case);
}

/// Writes a record of the case.
#[inline(always)]
pub(crate) fn write_record(context: &XdpContext, case: &mut Case) {
    iomt_record(context.ctx, case);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_read(context: *mut xdp_md, case: *mut Case) -> u32 {
    let Some(case) = given(case) else { return 0 };
    let parsed = parse(&Frame::new(&XdpContext::new(context)), &mut case.packet);
    case.set_parsed(parsed);
    1
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_record(context: *mut xdp_md, case: *mut Case) -> u32 {
    let Some(case) = given(case) else { return 0 };
    report::emit(&XdpContext::new(context), case);
    1
}

/// The case that a function was called for. The verifier asks each for itself.
#[inline(always)]
fn given<'a>(case: *mut Case) -> Option<&'a mut Case> {
    // SAFETY: null, or the case that the caller had and does not touch until the function returns.
    unsafe { case.as_mut() }
}

macro_rules! stages {
    ($($function:ident = $stage:ident,)*) => {
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            extern "C" fn $function(case: *mut Case) -> u32 {
                let Some(case) = given(case) else { return 1 };
                let tables = Maps::of(case);
                u32::from(decide::run(Stage::$stage, case, &tables))
            }
        )*

        /// Takes one step; whether it answered.
        #[inline(always)]
        pub(crate) fn run(stage: Stage, case: &mut Case) -> bool {
            let answered = match stage {
                $(Stage::$stage => $function(case),)*
            };
            answered != 0
        }
    };
}

stages! {
    iomt_readable = Readable,
    iomt_link = Link,
    iomt_identity = Identity,
    iomt_management = Management,
    iomt_standing = Standing,
    iomt_established = Established,
    iomt_far_end = FarEnd,
    iomt_conversation = Conversation,
    iomt_rules = Rules,
    iomt_conclusion = Conclusion,
}
