//! Reads what a catalog file may write shortly: a text or a list in place of a table.
//!
//! An untagged enum would do the same, but forgets what was wrong and where.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::invalid::Invalid;

/// A value in one of its spellings.
pub(crate) enum Value<T> {
    /// `"…"`
    Text(String),
    /// `["…", "…"]`
    List(Vec<String>),
    /// `{ … }`
    Table(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Spelling<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Spelling<T> {
            type Value = Value<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a list of texts or a table")
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Value::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(table)).map(Value::Table)
            }
        }

        deserializer.deserialize_any(Spelling(PhantomData))
    }
}

/// Something a file declares as `name = value`.
pub(crate) trait Entry: Sized {
    /// The value's long form.
    type Body: Serialize + DeserializeOwned;

    fn name(&self) -> &str;

    fn read(name: String, value: Value<Self::Body>) -> Result<Self, Invalid>;

    fn body(&self) -> Self::Body;
}

/// Serde for a list of entries that is a table in the file.
///
/// A list keeps the order and the names that are declared twice, which a map would hide.
pub(crate) mod entries {
    use super::{Deserializer, Entries, Entry, PhantomData, Serializer};

    pub(crate) fn serialize<T: Entry, S: Serializer>(
        list: &[T],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(list.iter().map(|entry| (entry.name(), entry.body())))
    }

    pub(crate) fn deserialize<'de, T: Entry, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: Entry> Visitor<'de> for Entries<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            list.push(map.next_value_seed(Named(name, PhantomData))?);
        }
        Ok(list)
    }
}

/// Reads one value, so that its error is told at the value's own line.
struct Named<T>(String, PhantomData<T>);

impl<'de, T: Entry> DeserializeSeed<'de> for Named<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        let value = Value::deserialize(deserializer)?;
        T::read(self.0, value).map_err(D::Error::custom)
    }
}

/// Whether a field has its default, and so need not be written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
