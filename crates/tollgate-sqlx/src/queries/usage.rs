//! Reading usage counters, and adding to them. Many rows come as one JSON array.

use super::keys::visible;
use crate::session::Sql;

pub(crate) const READ: &str = "SELECT total_requests, with_old_secret, last_used_at, \
     last_address FROM tollgate_usage WHERE key_id = $1";

macro_rules! added {
    () => {
        "INSERT INTO tollgate_usage AS u \
         (key_id, total_requests, with_old_secret, last_used_at, last_address) SELECT k.id, "
    };
}
/// A sum of a row and the one that is to be added; one that is too large stops at the largest.
macro_rules! sum {
    ($table:literal, $column:literal) => {
        concat!(
            $column,
            " = CASE WHEN ",
            $table,
            ".",
            $column,
            " > 9223372036854775807 - excluded.",
            $column,
            " THEN 9223372036854775807 ELSE ",
            $table,
            ".",
            $column,
            " + excluded.",
            $column,
            " END"
        )
    };
}
macro_rules! over {
    () => {
        concat!(
            " ON CONFLICT (key_id) DO UPDATE SET ",
            sum!("u", "total_requests"),
            ", ",
            sum!("u", "with_old_secret"),
            ", last_address = CASE WHEN u.last_used_at > excluded.last_used_at \
             THEN u.last_address ELSE coalesce(excluded.last_address, u.last_address) END, \
             last_used_at = CASE WHEN u.last_used_at > excluded.last_used_at \
             THEN u.last_used_at ELSE excluded.last_used_at END RETURNING key_id"
        )
    };
}
/// Adds to the totals of those of a JSON array that are keys, and says which. Whoever writes more of
/// a key does it after, so that nobody else writes any of it meanwhile.
///
/// On PostgreSQL a key is kept from being deleted before what is counted of it is written. Keys are
/// taken in the order of their ids, so that two who write many both get them.
pub(crate) const ADD: Sql = Sql::each(
    concat!(
        added!(),
        "j.value->>1, j.value->>2, j.value->>3, j.value->>4 FROM jsonb_each($1) AS j \
         CROSS JOIN tollgate_keys AS k WHERE k.id = unhex(j.value->>0) AND ",
        visible!(),
        over!()
    ),
    concat!(
        added!(),
        "(j.value->>1)::bigint, (j.value->>2)::bigint, (j.value->>3)::bigint, j.value->>4 \
         FROM jsonb_array_elements($1::jsonb) AS j (value) \
         JOIN tollgate_keys AS k ON k.id = decode(j.value->>0, 'hex') WHERE ",
        visible!(),
        " ORDER BY k.id FOR KEY SHARE OF k",
        over!()
    ),
);
/// The days of a JSON array of keys, where they are later than those that are written.
pub(crate) const USED_ON: Sql = Sql::each(
    "UPDATE tollgate_keys SET last_used_day = j.value->>1 FROM jsonb_each($1) AS j \
     WHERE tollgate_keys.id = unhex(j.value->>0) \
     AND (last_used_day IS NULL OR last_used_day < j.value->>1)",
    "UPDATE tollgate_keys SET last_used_day = (j.value->>1)::bigint \
     FROM jsonb_array_elements($1::jsonb) AS j (value) \
     WHERE tollgate_keys.id = decode(j.value->>0, 'hex') \
     AND (last_used_day IS NULL OR last_used_day < (j.value->>1)::bigint)",
);
macro_rules! counted {
    () => {
        "INSERT INTO tollgate_usage_counts AS c (key_id, hour, route, outcome, requests) SELECT "
    };
}
macro_rules! over_counted {
    () => {
        concat!(
            " ON CONFLICT (key_id, hour, route, outcome) DO UPDATE SET ",
            sum!("c", "requests")
        )
    };
}
/// Adds a JSON array of counters.
pub(crate) const COUNT: Sql = Sql::each(
    concat!(
        counted!(),
        "unhex(value->>0), value->>1, value->>2, value->>3, value->>4 FROM jsonb_each($1) \
         WHERE true",
        over_counted!()
    ),
    concat!(
        counted!(),
        "decode(value->>0, 'hex'), (value->>1)::bigint, value->>2, value->>3, \
         (value->>4)::bigint FROM jsonb_array_elements($1::jsonb)",
        over_counted!()
    ),
);
