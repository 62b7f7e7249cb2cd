//! The harness: how a test writes a frame and a hospital, and what it compares the filter with.
//!
//! | module | what it is |
//! |---|---|
//! | [`packet`] | a frame in the making, every field of which can lie |
//! | [`world`] | a model hospital as data, and as the files and rows that say the same |
//! | [`oracle`] | the reference model, written from the rules and sharing no code with the filter |
//! | [`judge`] | whatever judges frames: the host build here, the kernel program elsewhere |
//! | [`lookups`] | the tables in lines, compared with a plain search of the same rows |
//! | [`random`], [`generate`], [`differential`] | random hospitals and frames, and the comparison |
//! | [`invariants`] | what must hold of the answers alone, whatever model and filter agree on |
//! | [`plans`] | plans of random hospitals, compared with any judge |
//! | [`cases`] | named cases, told at every level in every variation that must not matter |
//! | [`kernel`] | the real program in the kernel |
//! | [`readme`] | the commands that the README shows |
//! | [`terminal`] | a terminal, and what a program that runs on it has drawn |
//! | [`netns`] | network namespaces that go away again |
//! | [`certificate`] | certificates for those who speak TLS in a test |
//! | [`hospital`] | a small hospital in such namespaces, with real programs and the filter |
//! | [`ward`] | a ward behind a filter that routes or bridges, and the programs of clinical networks |
//! | [`crossing`] | a filter under traffic of which every packet is counted, and what happens to it meanwhile |
//! | [`tools`] | programs that are fetched and not installed |
//! | [`bare`] | a Debian that boots in a namespace, to install the package in |
//! | [`prometheus`] | a real Prometheus, and what it says |

pub mod packet;
pub mod world;
pub mod oracle;
pub mod judge;
pub mod lookups;
pub mod random;
pub mod generate;
mod shrink;
pub mod differential;
pub mod invariants;
pub mod plans;
pub mod cases;
pub mod kernel;
pub mod netns;
pub mod readme;
pub mod terminal;
pub mod certificate;
pub mod hospital;
pub mod ward;
pub mod crossing;
pub mod tools;
pub mod bare;
pub mod prometheus;
