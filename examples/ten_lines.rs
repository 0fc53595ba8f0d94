use tollgate::access::{public, scope};
use tollgate::core::memory::MemoryStore;
use tollgate::{Catalog, Gate, Plan, Principal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let catalog = Catalog::builder().scope("iocs:read").plan(Plan::new("free")).build()?;
    let gate = Gate::builder(catalog).store(MemoryStore::default()).build().await?;
    let app = gate
        .routes()
        .get("/health", async || "up", public())
        .get("/iocs", async |caller: Principal| caller.key_name().to_owned(), scope("iocs:read").credits(1))
        .into_service()?;
    # return Ok(());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, app).await?;
    Ok(())
}
