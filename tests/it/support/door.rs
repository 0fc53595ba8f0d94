//! A door at which handlers wait.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::in_time;

/// Keeps handlers waiting until the test lets one go.
#[derive(Clone)]
pub(crate) struct Door(Arc<(Semaphore, Semaphore)>);

impl Door {
    pub(crate) fn closed() -> Self {
        Self(Arc::new((Semaphore::new(0), Semaphore::new(0))))
    }

    /// What the handler waits for.
    pub(crate) async fn pass(&self) {
        self.0.0.add_permits(1);
        self.0.1.acquire().await.unwrap().forget();
    }

    /// Waits until a handler stands at the door.
    pub(crate) async fn knocked(&self) {
        in_time("a handler at the door", self.0.0.acquire())
            .await
            .unwrap()
            .forget();
    }

    pub(crate) fn open(&self) {
        self.0.1.add_permits(1);
    }
}
