//! What the contracts' macros expand to.

/// Makes one test of each case.
#[doc(hidden)]
#[macro_export]
macro_rules! __contract_tests {
    ($module:ident, $make:expr; $($case:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let made = ($make)().await;
            $crate::$module::$case(&*made).await;
        }
    )+};
}
