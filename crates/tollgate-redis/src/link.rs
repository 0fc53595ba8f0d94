//! The connection, and whether it counts.
//!
//! One connection serves everybody: it is multiplexed. A task keeps it: it connects, asks once a
//! second whether the server still counts, and connects anew when that, or a request, finds that
//! it does not. Until then nobody waits for Redis.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use metrics::{Gauge, gauge};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, Value};
use tokio::sync::watch;
use tollgate_core::clock::Clock;

use crate::failure::{ConnectError, Meaning};
use crate::location::OpenError;
use crate::script::Counting;

/// How many decisions in a row may come too late: one may be the network's, or this process's.
const LATE: u32 = 3;
/// How long connecting may take, with everything that goes with it.
const CONNECT: Duration = Duration::from_millis(500);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(250);
/// How often a connection that nobody complains about is tried out.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Decisions that wait for their turn on the connection before more wait outside.
const QUEUE: usize = 1024;

/// A connection that counts, as far as known.
pub(crate) struct Connected {
    connection: MultiplexedConnection,
    late: AtomicU32,
}

/// The way to Redis.
pub(crate) struct Link {
    client: Client,
    place: String,
    pub(crate) counting: Counting,
    clock: Arc<dyn Clock>,
    deadline: Duration,
    connected: watch::Sender<Option<Arc<Connected>>>,
    up: Gauge,
}

impl Link {
    pub(crate) fn new(
        info: ConnectionInfo,
        place: String,
        counting: Counting,
        clock: Arc<dyn Clock>,
        deadline: Duration,
    ) -> Result<Self, OpenError> {
        let client = Client::open(info).map_err(|error| {
            OpenError::new(format!("`{place}` is not the URL of a Redis")).with_source(error)
        })?;
        Ok(Self {
            client,
            place,
            counting,
            clock,
            deadline,
            connected: watch::Sender::new(None),
            up: gauge!("tollgate_redis_up"),
        })
    }

    /// The connection, unless Redis is down.
    pub(crate) fn connected(&self) -> Option<Arc<Connected>> {
        self.connected.borrow().clone()
    }

    /// Completes once Redis counts.
    pub(crate) async fn up(&self) {
        let mut connected = self.connected.subscribe();
        // The sender lives as long as this borrow of it.
        let _ = connected.wait_for(Option::is_some).await;
    }

    /// Calls the script. Nothing if there is no answer, or not in time; what that means for the
    /// next decision is seen to.
    pub(crate) async fn ask(&self, connected: &Arc<Connected>, call: Cmd) -> Option<Vec<u64>> {
        let mut connection = connected.connection.clone();
        let asked = Box::pin(self.counting.ask(&mut connection, &call));
        let answer = match select(asked, self.clock.sleep(self.deadline)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                if connected
                    .late
                    .fetch_add(1, Ordering::Relaxed)
                    .saturating_add(1)
                    >= LATE
                {
                    self.lose(connected, &ConnectError::Late.reason());
                }
                return None;
            }
        };
        connected.late.store(0, Ordering::Relaxed);
        match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                if Meaning::of(&error) == Meaning::Odd {
                    tracing::warn!(redis = self.place, %error, "Redis could not decide; this node did");
                } else {
                    self.lose(connected, &error.to_string());
                }
                None
            }
        }
    }

    /// Lets go of a connection that does not count, unless that was done.
    fn lose(&self, lost: &Arc<Connected>, reason: &str) {
        let lost = self.connected.send_if_modified(|connected| {
            let ours = connected.as_ref().is_some_and(|it| Arc::ptr_eq(it, lost));
            if ours {
                *connected = None;
            }
            ours
        });
        if lost {
            self.went_down(reason);
        }
    }

    fn went_down(&self, reason: &str) {
        self.up.set(0.0);
        tracing::warn!(
            redis = self.place,
            reason,
            "Redis does not count; this node counts by itself until it does"
        );
    }

    /// Connects for the first time, or says why waiting would not help.
    pub(crate) async fn start(&self) -> Result<(), OpenError> {
        match self.connect().await {
            Ok(()) => Ok(()),
            Err(error) => {
                let reason = error.reason();
                error.fatal(&self.place)?;
                self.went_down(&reason);
                Ok(())
            }
        }
    }

    /// Keeps connected, for ever.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut state = self.connected.subscribe();
        let mut told = false;
        loop {
            let connected = state.borrow_and_update().clone();
            let Some(connected) = connected else {
                if let Err(error) = self.connect().await {
                    // Somebody has to do something about this one; waiting is for the others.
                    if let Err(error) = error.fatal(&self.place)
                        && !told
                    {
                        told = true;
                        tracing::error!(%error, "Redis does not let this node in any more");
                    }
                    self.clock.sleep(PAUSE).await;
                } else {
                    told = false;
                    tracing::info!(redis = self.place, "Redis counts again");
                }
                continue;
            };
            let lost = Box::pin(state.changed());
            if let Either::Right(_) = select(lost, self.clock.sleep(HEARTBEAT)).await
                && let Err(error) = self.try_out(connected.connection.clone()).await
            {
                self.lose(&connected, &error.reason());
            }
        }
    }

    async fn connect(&self) -> Result<(), ConnectError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        let connecting = async {
            let client = &self.client;
            let connection = client.get_multiplexed_async_connection_with_config(&config);
            let mut connection = connection.await?;
            refuse_cluster_and_replica(&mut connection).await?;
            self.counting.try_out(&mut connection).await?;
            Ok(connection)
        };
        let connection = self.in_time(connecting).await?;
        self.connected.send_replace(Some(Arc::new(Connected {
            connection,
            late: AtomicU32::new(0),
        })));
        self.up.set(1.0);
        Ok(())
    }

    async fn try_out(&self, mut connection: MultiplexedConnection) -> Result<(), ConnectError> {
        let trying = async { Ok(self.counting.try_out(&mut connection).await?) };
        self.in_time(trying).await
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let limit = self.clock.sleep(CONNECT.max(self.deadline));
        match select(Box::pin(work), limit).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => Err(ConnectError::Late),
        }
    }
}

/// Asks the server what it is. A cluster would count some subjects, and a replica none.
async fn refuse_cluster_and_replica(
    connection: &mut MultiplexedConnection,
) -> Result<(), ConnectError> {
    let hello: Value = redis::cmd("HELLO").query_async(connection).await?;
    let is = |name: &str, value: &str| {
        let pairs: Box<dyn Iterator<Item = (&Value, &Value)>> = match &hello {
            Value::Map(pairs) => Box::new(pairs.iter().map(|(name, value)| (name, value))),
            Value::Array(items) => {
                let (pairs, _) = items.as_chunks::<2>();
                Box::new(pairs.iter().map(|[name, value]| (name, value)))
            }
            _ => return false,
        };
        let mut texts = pairs.map(|(name, value)| (text(name), text(value)));
        texts.any(|pair| pair == (Some(name.as_bytes()), Some(value.as_bytes())))
    };
    if is("mode", "cluster") {
        return Err(ConnectError::Cluster);
    }
    if is("role", "replica") || is("role", "slave") {
        return Err(ConnectError::Replica);
    }
    Ok(())
}

fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(text) => Some(text),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("place", &self.place)
            .field("up", &self.connected().is_some())
            .finish_non_exhaustive()
    }
}
