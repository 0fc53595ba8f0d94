//! Many calls of a port at the same time.

use tollgate_core::error::StoreError;
use tollgate_core::reply::Reply;

/// Calls from as many threads, then waits for each answer in a task of its own: a store may do its
/// work in the call or in the answer's future, and both have to be concurrent.
pub(crate) async fn at_once<T: Send + 'static>(
    tasks: u32,
    call: impl Fn(u32) -> Reply<T> + Sync,
) -> Vec<Result<T, StoreError>> {
    let call = &call;
    let replies: Vec<Reply<T>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..tasks)
            .map(|task| scope.spawn(move || call(task)))
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    });
    let waiting: Vec<_> = replies
        .into_iter()
        .map(|reply| tokio::spawn(reply.into_future()))
        .collect();
    let mut answers = Vec::new();
    for answer in waiting {
        answers.extend(answer.await.ok());
    }
    assert_eq!(answers.len(), usize::try_from(tasks).unwrap_or(0));
    answers
}
