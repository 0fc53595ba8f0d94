# Lists what there is.
[private]
default:
    @just --list --unsorted

# Every check that CI makes, in the order that fails soonest.
ci:
    .ci/run

# Is the code formatted?
fmt:
    cargo fmt --all --check

# Does clippy have nothing to say, tests and examples included?
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Do the docs build, with every link in them?
doc $RUSTDOCFLAGS="-D warnings":
    cargo doc --workspace --no-deps --locked

# Do the tests pass, the examples' and the docs' too? `--without-servers` leaves those out that need Postgres or Redis.
test *flags:
    tests/run {{ flags }}

# Do the management routes answer as their description says, whatever they are asked? Installs schemathesis.
openapi cases="100" seed="1":
    tests/openapi/run {{ cases }} {{ seed }}

# Can other people's validators, clients and parsers read each format of threat_intel? Installs them.
formats:
    tests/formats/run

# Are there no more instructions, allocations and bytes than before?
count:
    tests/benches/run check

# Starts the quickstart: `just run --listen 127.0.0.1:0`.
run *flags:
    cargo run --example quickstart -- {{ flags }}

# Measures everything, and writes it into docs/BENCHMARKS.md and SECURITY.md: half an hour. Prints what is named.
bench *names:
    tests/benches/run {{ names }}

# Fuzzes every parser, so many seconds each: `just fuzz 300`. Installs cargo-fuzz.
fuzz seconds="60" *targets:
    tests/fuzz/run {{ seconds }} {{ targets }}

# Mutates source files, and tells which changes no test notices. Installs cargo-mutants.
mutants *files:
    tests/mutants/run {{ files }}

# Takes what the examples declare out, one thing after the other, and tells what no test notices. Needs python3.
mutants-examples *names:
    tests/mutants/examples {{ names }}

# Says how much of each file the tests run. Installs cargo-llvm-cov; needs LLVM's tools.
coverage *flags:
    tests/coverage/run {{ flags }}
