//! The jobs of each organization, and the worker that does them one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::mpsc;
use tollgate::core::clock::Timestamp;
use tollgate::core::id::OrgId;
use tollgate::{Denial, DenialKind, Gate};
use uuid::Uuid;

use super::work::{Kind, Results, Work};

/// How many jobs wait, of all organizations.
const MOST_WAITING: usize = 1_000;
/// How many jobs of one organization are not done yet.
pub(crate) const MOST_UNFINISHED: usize = 20;
/// How many jobs of one organization are kept; then the oldest that is done makes way.
pub(crate) const MOST_KEPT: usize = 200;

/// The jobs of all organizations, in memory. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Jobs {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Queued>,
}

/// Does the jobs that were submitted. It ends with the last of the [`Jobs`].
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Queued>,
}

#[derive(Debug)]
struct Shared {
    gate: Gate,
    /// By id, which begins with the time: the newest is the last.
    jobs: Mutex<BTreeMap<OrgId, BTreeMap<String, Job>>>,
}

#[derive(Debug)]
struct Queued {
    organization: OrgId,
    id: String,
    work: Work,
}

#[derive(Debug)]
struct Job {
    kind: Kind,
    queued_at: Timestamp,
    progress: Progress,
}

#[derive(Debug)]
enum Progress {
    Queued,
    Running {
        started_at: Timestamp,
    },
    Done {
        started_at: Timestamp,
        finished_at: Timestamp,
        /// None if it failed.
        results: Option<Results>,
    },
}

/// How a job stands, without its results.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Status {
    pub(crate) id: String,
    kind: Kind,
    #[serde(rename = "status")]
    state: &'static str,
    queued_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
    /// From being queued to being started, and from there to being finished.
    waited_ms: Option<u64>,
    took_ms: Option<u64>,
}

/// What came of a job.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Unfinished,
    Failed,
    Completed(Results),
}

impl Jobs {
    pub(crate) fn new(gate: &Gate) -> (Self, Worker) {
        let shared = Arc::new(Shared {
            gate: gate.clone(),
            jobs: Mutex::default(),
        });
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        let jobs = Self {
            shared: Arc::clone(&shared),
            queue: sender,
        };
        let worker = Worker {
            shared,
            queue: receiver,
        };
        (jobs, worker)
    }

    /// Queues a job of an organization.
    ///
    /// # Errors
    ///
    /// A [`Denial`], which costs no credits: 429 if too many of the organization's jobs are not
    /// done yet, 503 if too many wait in all.
    pub(crate) fn submit(&self, organization: &OrgId, work: Work) -> Result<Status, Denial> {
        let mut all = self.shared.jobs.lock();
        let jobs = all.entry(organization.clone()).or_default();
        if jobs.values().filter(|job| !job.is_done()).count() >= MOST_UNFINISHED {
            return Err(Denial::new(DenialKind::Status(429))
                .with_message("Too many jobs of the organization are not done yet.")
                .with_retry_after(Duration::from_secs(1)));
        }
        let place = self.queue.try_reserve().map_err(|_| {
            Denial::new(DenialKind::Unavailable).with_message("Too many jobs wait to be done.")
        })?;
        let oldest_done = jobs.iter().find(|(_, job)| job.is_done());
        if let (MOST_KEPT.., Some((id, _))) = (jobs.len(), oldest_done) {
            let id = id.clone();
            jobs.remove(&id);
        }
        let id = format!("job_{}", Uuid::now_v7().simple());
        let job = Job {
            kind: work.kind(),
            queued_at: self.shared.now(),
            progress: Progress::Queued,
        };
        let status = job.status(&id);
        jobs.insert(id.clone(), job);
        place.send(Queued {
            organization: organization.clone(),
            id,
            work,
        });
        Ok(status)
    }

    /// How a job of this organization stands. One of another is not there.
    pub(crate) fn status(&self, organization: &OrgId, id: &str) -> Option<Status> {
        let all = self.shared.jobs.lock();
        let job = all.get(organization)?.get(id)?;
        Some(job.status(id))
    }

    /// How all jobs of this organization stand, the newest first.
    pub(crate) fn newest(&self, organization: &OrgId) -> Vec<Status> {
        let all = self.shared.jobs.lock();
        let jobs = all.get(organization).into_iter().flatten().rev();
        jobs.map(|(id, job)| job.status(id)).collect()
    }

    /// What came of a job of this organization.
    pub(crate) fn outcome(&self, organization: &OrgId, id: &str) -> Option<Outcome> {
        let all = self.shared.jobs.lock();
        let job = all.get(organization)?.get(id)?;
        Some(match &job.progress {
            Progress::Queued | Progress::Running { .. } => Outcome::Unfinished,
            Progress::Done { results, .. } => {
                results.clone().map_or(Outcome::Failed, Outcome::Completed)
            }
        })
    }
}

impl Worker {
    /// Does jobs as they come.
    pub(crate) async fn run(mut self) {
        while let Some(queued) = self.queue.recv().await {
            self.shared.start(queued).finish().await;
        }
    }

    /// Does the jobs that wait now.
    pub(crate) async fn work_off(&mut self) {
        while let Some(running) = self.start() {
            running.finish().await;
        }
    }

    /// Starts the job that has waited longest.
    pub(crate) fn start(&mut self) -> Option<Running<'_>> {
        let queued = self.queue.try_recv().ok()?;
        Some(self.shared.start(queued))
    }
}

/// A job that was started.
#[derive(Debug)]
#[must_use = "the job is done by `finish`"]
pub(crate) struct Running<'a> {
    shared: &'a Shared,
    job: Queued,
    started_at: Timestamp,
}

impl Running<'_> {
    /// Does the work, on a thread where it keeps no request waiting.
    pub(crate) async fn finish(self) {
        let Queued {
            organization,
            id,
            work,
        } = self.job;
        let results = tokio::task::spawn_blocking(move || work.run()).await;
        if let Err(error) = &results {
            tracing::error!(%organization, job = id, %error, "a job failed");
        }
        let progress = Progress::Done {
            started_at: self.started_at,
            finished_at: self.shared.now(),
            results: results.ok(),
        };
        self.shared.note(&organization, &id, progress);
    }
}

impl Shared {
    fn now(&self) -> Timestamp {
        self.gate.clock().now().wall
    }

    fn start(&self, job: Queued) -> Running<'_> {
        let started_at = self.now();
        self.note(&job.organization, &job.id, Progress::Running { started_at });
        Running {
            shared: self,
            job,
            started_at,
        }
    }

    fn note(&self, organization: &OrgId, id: &str, progress: Progress) {
        let mut all = self.jobs.lock();
        if let Some(job) = all.get_mut(organization).and_then(|jobs| jobs.get_mut(id)) {
            job.progress = progress;
        }
    }
}

impl Job {
    const fn is_done(&self) -> bool {
        matches!(self.progress, Progress::Done { .. })
    }

    fn status(&self, id: &str) -> Status {
        let (state, started_at, finished_at) = match self.progress {
            Progress::Queued => ("queued", None, None),
            Progress::Running { started_at } => ("running", Some(started_at), None),
            Progress::Done {
                started_at,
                finished_at,
                ref results,
            } => {
                let state = if results.is_some() {
                    "completed"
                } else {
                    "failed"
                };
                (state, Some(started_at), Some(finished_at))
            }
        };
        let millis = |from: Timestamp, to: Timestamp| {
            u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX)
        };
        Status {
            id: id.to_owned(),
            kind: self.kind,
            state,
            queued_at: self.queued_at.to_string(),
            started_at: started_at.map(|at| at.to_string()),
            finished_at: finished_at.map(|at| at.to_string()),
            waited_ms: started_at.map(|start| millis(self.queued_at, start)),
            took_ms: started_at
                .zip(finished_at)
                .map(|(start, end)| millis(start, end)),
        }
    }
}
