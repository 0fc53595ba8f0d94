//! What tests' gates keep everything in, if not in memory.
//!
//! An app's tests say nothing of a store, and need not be written twice to run on another:
//! [`with_stores`] runs one of them so.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::runtime::Handle;
use tollgate_core::memory::MemoryStore;
use tollgate_core::store::Store;

thread_local! {
    static MAKE: RefCell<Option<Rc<dyn Fn() -> TestStore>>> = const { RefCell::new(None) };
}

/// A store for a [`TestGate`](super::TestGate), and where its connections live.
#[derive(Debug)]
pub struct TestStore {
    pub(super) store: Arc<dyn Store>,
    pub(super) runtime: Option<Handle>,
}

/// Runs a test whose gates stand on stores that this makes, a new one for each gate.
///
/// The test is that of another module, such as `crate::access::a_reader_reads`, and runs on the
/// thread that this is called on.
pub fn with_stores(make: impl Fn() -> TestStore + 'static, test: fn()) {
    // Each test has a thread of its own, which ends with it.
    MAKE.set(Some(Rc::new(make)));
    test();
    MAKE.set(None);
}

impl TestStore {
    /// An empty store, whose connections live on this runtime. It is not the test's own: the test
    /// may wait for an answer without letting its runtime go on.
    pub fn new(store: impl Store, runtime: Handle) -> Self {
        Self {
            store: Arc::new(store),
            runtime: Some(runtime),
        }
    }

    pub(super) fn of_this_test() -> Self {
        let make = MAKE.with_borrow(Clone::clone);
        make.map_or_else(
            || Self {
                store: Arc::new(MemoryStore::default()),
                runtime: None,
            },
            |make| make(),
        )
    }
}

/// Waits for what goes on elsewhere, with this whole thread.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}
