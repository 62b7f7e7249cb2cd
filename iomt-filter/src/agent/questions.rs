//! What is answered and changes nothing.

use std::sync::PoisonError;

use super::core::chain;
use super::views::Known;
use super::{Agent, Errors, explaining, learning, looking, planning, views};
use crate::api::messages::{
    DeviceQuery, DeviceStatus, FlowQuery, FlowStatus, HistoryQuery, HistoryStatus, LearnQuery, Learned,
    PlanRequest, Status,
};
use crate::baseline::Readiness;
use crate::explain::{Explanation, Question};
use crate::feeds::manual::ManualBlock;
use crate::lookup::Answer;
use crate::metrics;
use crate::plan::Plan;

impl Agent {
    /// How everything stands.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn status(&self) -> Result<Status, Errors> {
        views::status(&self.running(), self.known())
    }

    /// What `status` and `devices` show, as metrics.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn metrics(&self) -> Result<String, Errors> {
        let picture = views::picture(&self.running(), self.known())?;
        metrics::text(picture).map_err(|_| vec!["the metrics cannot be written down".to_owned()])
    }

    fn known(&self) -> Known {
        let metrics = self.unserved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Known {
            contacts: self.contacts.read(),
            archive: self.outlets.archiving.status(&self.history),
            sinks: self.outlets.emitters.status(&self.history),
            records: self.history.total().by_verdict(),
            metrics,
        }
    }

    /// Notes why metrics are not served, or that they are.
    pub(crate) fn note_unserved(&self, why: Option<String>) {
        *self.unserved.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// # Errors
    /// When the kernel refuses a read.
    pub fn devices(&self, query: DeviceQuery) -> Result<Vec<DeviceStatus>, Errors> {
        views::devices(&self.running(), query)
    }

    /// # Errors
    /// When the kernel refuses a read.
    pub fn flows(&self, query: &FlowQuery) -> Result<Vec<FlowStatus>, Errors> {
        Ok(views::flows(&self.running(), query))
    }

    /// What the program says of a packet, without sending one. A private copy of it is asked.
    ///
    /// # Errors
    /// When the question cannot be understood, or the kernel refuses.
    pub fn explain(&self, question: &Question) -> Result<Explanation, Errors> {
        let (scene, setting) = explaining::prepare(&self.running(), question)?;
        let explained = match &self.understudy {
            Some(understudy) => {
                understudy.lock().unwrap_or_else(PoisonError::into_inner).play(scene, setting)
            }
            None => scene.play(setting),
        };
        explained.map_err(|error| vec![chain(&error)])
    }

    /// What would change if the files were loaded as they are now, or others in their place, and what that would cut.
    /// Nothing changes.
    ///
    /// # Errors
    /// When the host's addresses cannot be read.
    pub fn plan(&self, request: &PlanRequest) -> Result<Plan, Errors> {
        planning::plan(&self.running(), &self.history, request)
    }

    /// Rules that would cover what devices did.
    ///
    /// # Errors
    /// When nothing is known of whom is asked about, or what they did cannot be read.
    pub fn propose(&self, query: &LearnQuery) -> Result<Learned, Errors> {
        learning::propose(&self.running(), query)
    }

    /// How far each device is from being enforced.
    ///
    /// # Errors
    /// As of [`propose`](Self::propose).
    pub fn readiness(&self, query: &LearnQuery) -> Result<Vec<Readiness>, Errors> {
        learning::readiness(&self.running(), query)
    }

    /// What is known of addresses, prefixes and domains.
    ///
    /// # Errors
    /// When one of them is none of these.
    pub fn lookup(&self, queries: &[String]) -> Result<Vec<Answer>, Errors> {
        looking::up(&self.running(), &self.state, queries)
    }

    /// Who talked to whom, the latest first.
    ///
    /// # Errors
    /// When what is kept of that cannot be read.
    pub fn talked(&self, query: &HistoryQuery) -> Result<Vec<HistoryStatus>, Errors> {
        looking::history(&self.running(), &self.state, query)
    }

    /// Manual blocks that hold.
    pub fn blocks(&self) -> Vec<ManualBlock> {
        self.running().blocks.list()
    }
}
