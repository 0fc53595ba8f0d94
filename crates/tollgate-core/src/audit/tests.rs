use proptest::prelude::*;

use super::*;
use crate::change::Actor;

fn acme() -> OrgId {
    OrgId::new("acme").unwrap()
}

fn change(n: i64) -> Change {
    let address = "192.0.2.7".parse().unwrap();
    Change {
        actor: Actor::user("alice").in_session("s1").from_address(address),
        at: Timestamp::from_secs(n),
        reason: (n % 2 == 0).then(|| format!("reason {n}")),
    }
}

fn chain(key: &AuditKey, length: i64) -> Vec<AuditRecord> {
    let mut records: Vec<AuditRecord> = Vec::new();
    for n in 0..length {
        let last = records.last().map(AuditRecord::head);
        let (old, new) = (serde_json::json!({"n": n}), serde_json::json!({"n": n + 1}));
        let event = AuditEvent::new("key.edit", "key:1", Some(&old), Some(&new));
        records.push(AuditRecord::new(
            Some(acme()),
            event,
            &change(n),
            key,
            last.as_ref(),
        ));
    }
    records
}

fn verify(
    key: &AuditKey,
    records: &[AuditRecord],
    anchor: Option<AuditHead>,
) -> Result<AuditHead, AuditFault> {
    let mut verifier = AuditVerifier::new(key, Some(acme()), anchor);
    for record in records {
        verifier.follow(record)?;
    }
    verifier.finish()
}

#[test]
fn a_whole_chain_ends_at_its_head() {
    let key = AuditKey::new(b"outside");
    let records = chain(&key, 5);
    let head = verify(&key, &records, None).unwrap();
    assert_eq!(head, records[4].head());
    assert_eq!(
        verify(&key, &records, Some(records[2].head())).unwrap(),
        head
    );
    assert_eq!(head.to_string().parse::<AuditHead>().unwrap(), head);
}

#[test]
fn who_does_not_know_the_key_makes_no_chain() {
    let forged = chain(&AuditKey::default(), 5);
    let fault = verify(&AuditKey::new(b"outside"), &forged, None).unwrap_err();
    assert_eq!(fault, AuditFault::Changed { seq: 1 });
}

#[test]
fn an_end_that_was_cut_off_is_told_by_a_head_that_was_kept() {
    let key = AuditKey::default();
    let records = chain(&key, 5);
    let kept = Some(records[4].head());
    assert!(verify(&key, &records[..3], None).is_ok());
    let fault = verify(&key, &records[..3], kept.clone()).unwrap_err();
    let truncated = AuditFault::Truncated {
        last: 3,
        anchored: 5,
    };
    assert_eq!(fault, truncated);
    // Written anew by somebody who knows the key: as long, and another.
    let mut anew = chain(&key, 3);
    for n in 7..9 {
        let event = AuditEvent::new("key.delete", "key:2", None::<&()>, None);
        let last = anew.last().map(AuditRecord::head);
        anew.push(AuditRecord::new(
            Some(acme()),
            event,
            &change(n),
            &key,
            last.as_ref(),
        ));
    }
    let fault = verify(&key, &anew, kept).unwrap_err();
    assert_eq!(fault, AuditFault::NotAnchored { seq: 5 });
}

#[test]
fn only_what_differs_is_recorded() {
    let (old, new) = (
        serde_json::json!({"a": 1, "b": 2, "c": null}),
        serde_json::json!({"a": 1, "b": 3}),
    );
    let event = AuditEvent::new("x", "y", Some(&old), Some(&new));
    assert_eq!(event.before.as_deref(), Some(r#"{"b":2,"c":null}"#));
    assert_eq!(event.after.as_deref(), Some(r#"{"b":3}"#));
}

#[test]
fn a_head_that_is_none_is_refused_in_one_sentence() {
    for text in [
        "",
        "acme",
        "acme 1",
        "acme x 00",
        "acme 1 zz",
        "acme 1 00 1",
    ] {
        let error = text.parse::<AuditHead>().unwrap_err().to_string();
        assert!(error.starts_with("audit head: "), "{error}");
    }
}

/// What somebody may do to a chain.
#[derive(Clone, Debug)]
enum Tampering {
    Remove(usize),
    Swap(usize, usize),
    Field(usize, u8),
    Repeat(usize),
}

proptest! {
    #[test]
    fn whatever_is_done_to_a_chain_shows(
        tampering in prop_oneof![
            (0..8_usize).prop_map(Tampering::Remove),
            (0..8_usize, 0..8_usize).prop_map(|(a, b)| Tampering::Swap(a, b)),
            (0..8_usize, 0..10_u8).prop_map(|(at, field)| Tampering::Field(at, field)),
            (0..8_usize).prop_map(Tampering::Repeat),
        ],
    ) {
        let key = AuditKey::new(b"outside");
        let whole = chain(&key, 8);
        let mut records = whole.clone();
        match tampering {
            Tampering::Remove(at) => drop(records.remove(at)),
            Tampering::Swap(a, b) => records.swap(a, b),
            Tampering::Repeat(at) => records.insert(at, whole[at].clone()),
            Tampering::Field(at, field) => {
                let record = &mut records[at];
                match field {
                    0 => record.action.push('x'),
                    1 => record.target.push('x'),
                    2 => record.actor = "user:bob".into(),
                    3 => record.session = None,
                    4 => record.address = None,
                    5 => record.reason = Some(String::new()),
                    6 => record.before = None,
                    7 => record.after = record.before.clone(),
                    8 => record.at = record.at.after(std::time::Duration::from_micros(1)),
                    _ => record.organization = None,
                }
            }
        }
        let verified = verify(&key, &records, Some(whole[7].head()));
        prop_assert_eq!(verified.is_ok(), records == whole);
    }
}
