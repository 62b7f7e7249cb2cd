//! DICOM: a study of a phantom, a PACS that stores it, a modality that sends it. All by DCMTK.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Hospital;
use super::host::{DICOM, Host, Version};
use super::program::{self, Program};
use super::wait;
use crate::netns::Namespace;

/// How long DCMTK's programs may take; a study arrives in milliseconds.
const LIMIT: Duration = Duration::from_secs(10);
/// Pixels on each side of an image.
const SIDE: u16 = 256;
/// Images of the study.
const IMAGES: u8 = 3;
/// Below 2.25 everybody may name things by a UUID (DICOM PS3.5 B.2); this one is made up.
const ROOT: &str = "2.25.301275186406270593207514632510394829";
/// The names by which PACS and scanner know each other.
const PACS: &str = "PACS";
const SCANNER: &str = "CT1";

/// The programs that must be there.
pub const PROGRAMS: [&str; 4] = ["storescp", "storescu", "echoscu", "dump2dcm"];

/// A study: one DICOM file an image.
#[derive(Debug)]
pub struct Study {
    images: Vec<Image>,
}

#[derive(Debug)]
struct Image {
    file: PathBuf,
    pixels: Vec<u8>,
}

impl Study {
    /// Makes the images of a water phantom, in a folder `study`.
    ///
    /// # Errors
    /// When DCMTK's `dump2dcm` is not there or refuses.
    pub fn make(hospital: &Hospital) -> Result<Self> {
        Self::make_at(&hospital[Host::Ct], hospital.folder())
    }

    /// The same on any host, below any folder.
    ///
    /// # Errors
    /// When DCMTK's `dump2dcm` is not there or refuses.
    pub fn make_at(scanner: &Namespace, folder: &Path) -> Result<Self> {
        let folder = folder.join("study");
        fs::create_dir_all(&folder).context("failed to make a folder for the study")?;
        let images = (1..=IMAGES).map(|number| image(scanner, &folder, number)).collect::<Result<_>>()?;
        Ok(Self { images })
    }

    /// Images in it.
    #[must_use]
    pub fn images(&self) -> usize {
        self.images.len()
    }

    /// Bytes of its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let sizes = self.images.iter().map(|image| fs::metadata(&image.file).map_or(0, |file| file.len()));
        sizes.sum()
    }
}

fn image(scanner: &Namespace, folder: &Path, number: u8) -> Result<Image> {
    let [raw, dump, file] =
        ["raw", "dump", "dcm"].map(|extension| folder.join(format!("{number}.{extension}")));
    let pixels = phantom(number);
    fs::write(&raw, &pixels).context("failed to write pixels")?;
    fs::write(&dump, description(number, &raw)).context("failed to write a description")?;
    let mut convert = Command::new("dump2dcm");
    convert.arg(&dump).arg(&file);
    program::run(scanner, &mut convert, LIMIT)?.success("dump2dcm")?;
    Ok(Image { file, pixels })
}

/// A disc of water in air, in Hounsfield units plus 1024; a smaller disc moves from image to image.
fn phantom(number: u8) -> Vec<u8> {
    let [air, water, bone] = [24_u16, 1024, 1924];
    let within = |x: u16, y: u16, at: (i32, i32), radius: i32| {
        let (dx, dy) = (i32::from(x) - at.0, i32::from(y) - at.1);
        dx * dx + dy * dy < radius * radius
    };
    let value = |x, y| match (x, y) {
        _ if within(x, y, (96 + 16 * i32::from(number), 128), 20) => bone,
        _ if within(x, y, (128, 128), 100) => water,
        _ => air,
    };
    (0..SIDE)
        .flat_map(|y| (0..SIDE).map(move |x| (x, y)))
        .flat_map(|(x, y)| value(x, y).to_le_bytes())
        .collect()
}

fn description(number: u8, raw: &Path) -> String {
    format!(
        "(0008,0008) CS [ORIGINAL\\PRIMARY\\AXIAL]\n\
         (0008,0016) UI =CTImageStorage\n\
         (0008,0018) UI [{ROOT}.1.1.{number}]\n\
         (0008,0020) DA [20260105]\n\
         (0008,0030) TM [080000]\n\
         (0008,0060) CS [CT]\n\
         (0008,1030) LO [water phantom]\n\
         (0010,0010) PN [Phantom^Water]\n\
         (0010,0020) LO [PHANTOM]\n\
         (0020,000d) UI [{ROOT}.1]\n\
         (0020,000e) UI [{ROOT}.1.1]\n\
         (0020,0013) IS [{number}]\n\
         (0028,0002) US 1\n\
         (0028,0004) CS [MONOCHROME2]\n\
         (0028,0010) US {SIDE}\n\
         (0028,0011) US {SIDE}\n\
         (0028,0100) US 16\n\
         (0028,0101) US 12\n\
         (0028,0102) US 11\n\
         (0028,0103) US 0\n\
         (0028,1052) DS [-1024]\n\
         (0028,1053) DS [1]\n\
         (7fe0,0010) OW ={}\n",
        raw.display()
    )
}

/// DCMTK's `storescp` on the host of the PACS.
#[derive(Debug)]
pub struct Pacs {
    program: Program,
    archive: PathBuf,
}

impl Pacs {
    /// Starts it, and waits until it listens.
    ///
    /// # Errors
    /// When it is not there or does not listen.
    pub fn start(hospital: &Hospital) -> Result<Self> {
        Self::start_at(&hospital[Host::Pacs], hospital.folder(), DICOM, &[])
    }

    /// The same on any host and port, with more arguments, as those for TLS.
    ///
    /// # Errors
    /// When it is not there or does not listen.
    pub fn start_at(inside: &Namespace, folder: &Path, port: u16, arguments: &[String]) -> Result<Self> {
        let archive = folder.join(format!("archive-{port}"));
        fs::create_dir_all(&archive).context("failed to make a folder for the archive")?;
        let mut command = Command::new("storescp");
        // Names are not looked up: there is no name server in here.
        command.args(["--verbose", "--disable-host-lookup", "--aetitle", PACS, "--output-directory"]);
        command.arg(&archive).args(arguments).arg(port.to_string());
        let mut program = Program::start(inside, &mut command, &folder.join(format!("storescp-{port}.log")))?;
        program.wait_for_port(port, LIMIT)?;
        Ok(Self { program, archive })
    }

    /// That the study is in the archive, every pixel of it.
    ///
    /// # Errors
    /// When it is not, or other images are.
    pub fn holds(&mut self, study: &Study) -> Result<()> {
        self.program.check()?;
        let files = || fs::read_dir(&self.archive).into_iter().flatten().flatten();
        let arrived: Vec<_> = files().filter_map(|file| fs::read(file.path()).ok()).collect();
        let whole = |image: &&Image| arrived.iter().any(|file| file.ends_with(&image.pixels));
        let found = study.images.iter().filter(whole).count();
        ensure!(
            found == study.images() && arrived.len() == found,
            "{found} of {} images are in the archive, among {} files",
            study.images(),
            arrived.len()
        );
        Ok(())
    }

    /// Empties the archive.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn clear(&self) -> Result<()> {
        for file in fs::read_dir(&self.archive).context("failed to list the archive")? {
            fs::remove_file(file?.path()).context("failed to empty the archive")?;
        }
        Ok(())
    }
}

/// Asks the PACS whether it is there (C-ECHO), from a host.
///
/// # Errors
/// When it does not answer.
pub fn echo(hospital: &Hospital, from: Host) -> Result<()> {
    echo_at(&hospital[from], Host::Pacs.at(Version::V4, DICOM), &[])
}

/// The same from any host to any PACS, with more arguments, as those for TLS.
///
/// # Errors
/// When it does not answer.
pub fn echo_at(from: &Namespace, pacs: SocketAddr, arguments: &[String]) -> Result<()> {
    let mut command = Command::new("echoscu");
    address(command.args(["--timeout", "3", "--acse-timeout", "3"]).args(arguments), pacs);
    program::run(from, &mut command, LIMIT)?.success("echoscu").map(drop)
}

/// Sends the study to the PACS (C-STORE), from a host, and waits until all of it is there.
///
/// # Errors
/// When it does not arrive.
pub fn send(hospital: &Hospital, from: Host, study: &Study, pacs: &mut Pacs) -> Result<()> {
    send_at(&hospital[from], Host::Pacs.at(Version::V4, DICOM), study, pacs, &[])
}

/// The same from any host to any PACS, with more arguments, as those for TLS.
///
/// # Errors
/// When it does not arrive.
pub fn send_at(
    from: &Namespace,
    at: SocketAddr,
    study: &Study,
    pacs: &mut Pacs,
    arguments: &[String],
) -> Result<()> {
    let mut command = Command::new("storescu");
    address(command.args(["--timeout", "3", "--acse-timeout", "3"]).args(arguments), at);
    command.args(study.images.iter().map(|image| &image.file));
    program::run(from, &mut command, LIMIT)?.success("storescu")?;
    wait::until("the study in the archive", LIMIT, || Ok(pacs.holds(study).ok()))
}

fn address(command: &mut Command, pacs: SocketAddr) {
    let (host, port) = (pacs.ip().to_string(), pacs.port().to_string());
    command.args(["--aetitle", SCANNER, "--call", PACS, &host, &port]);
}
