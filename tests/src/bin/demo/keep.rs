//! `--keep`: the hospital stays, and a person tries the command line.

use std::time::{Duration, Instant};

use anyhow::Result;
use iomt_filter_tests::hospital::host::{HTTPS, Host, Version};
use iomt_filter_tests::hospital::{Hospital, wait};

use crate::cut::Sessions;
use crate::story::Scene;

/// A session without an answer for this long is told to have stopped.
const SILENCE: Duration = Duration::from_millis(500);

pub(crate) fn wait(scene: &mut Scene<'_>, sessions: &Sessions) -> Result<()> {
    scene.say.all_events();
    scene.say.line(&commands(scene));
    let mut talks = true;
    wait::until_interrupted(|| {
        scene.filter.check()?;
        let answered = sessions.vendor.last_answer();
        let now = Instant::now().saturating_duration_since(answered) < SILENCE;
        if now != talks {
            talks = now;
            let what = if now { "is answered again" } else { "is not answered any more" };
            scene.say.line(&format!("   the session from ct to vendor {what}"));
        }
        Ok(())
    })
}

fn commands(scene: &Scene<'_>) -> String {
    let program = format!("{} --config {}", scene.filter.binary().display(), scene.filter.config().display());
    let vendor = Host::Vendor.address(Version::V4);
    let study = scene.hospital.folder().join("study");
    let pacs = Host::Pacs.address(Version::V4);
    let ct = format!("ip netns exec {}", scene.hospital[Host::Ct].name());
    format!(
        "\nIt goes on running until Ctrl-C. Worth trying in another terminal:\n\n\
         alias iomt-filter='{program}'\n\
         iomt-filter status\n\
         iomt-filter devices\n\
         iomt-filter flows\n\
         iomt-filter events --reason geo\n\
         iomt-filter block add {vendor} --note 'tried by hand'   # cuts the session from ct to vendor\n\
         iomt-filter block list\n\
         iomt-filter block remove {vendor}\n\
         {ct} echoscu --call PACS {pacs} 104\n\
         {ct} storescu --call PACS {pacs} 104 {}/1.dcm\n\
         {}\n\
         {}\n",
        study.display(),
        connect(scene.hospital, Host::Ct, Host::C2),
        connect(scene.hospital, Host::Pump, Host::Denied),
    )
}

fn connect(hospital: &Hospital, from: Host, to: Host) -> String {
    let (name, address) = (hospital[from].name(), to.address(Version::V6));
    format!("ip netns exec {name} timeout 2 bash -c ': < /dev/tcp/{address}/{HTTPS}'   # dropped")
}
