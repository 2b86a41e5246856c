use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What is no list and no object counts as nothing.
macro_rules! none {
    ($value:ty) => {
        fn visit_str<E>(self, _: &str) -> Result<$value, E> {
            Ok(Vec::new())
        }

        fn visit_i64<E>(self, _: i64) -> Result<$value, E> {
            Ok(Vec::new())
        }

        fn visit_u64<E>(self, _: u64) -> Result<$value, E> {
            Ok(Vec::new())
        }

        fn visit_f64<E>(self, _: f64) -> Result<$value, E> {
            Ok(Vec::new())
        }

        fn visit_bool<E>(self, _: bool) -> Result<$value, E> {
            Ok(Vec::new())
        }

        fn visit_unit<E>(self) -> Result<$value, E> {
            Ok(Vec::new())
        }
    };
}

/// JSON of a registry that fails for no type: one odd field must not cost the whole answer. Text, a number, a switch, or Eureka's `{"$": 8080, "@enabled": "true"}`; anything else is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loose {
    pub text: Option<String>,
    pub enabled: Option<bool>,
}

impl Loose {
    /// Without the white space around it; empty is nothing.
    pub fn get(&self) -> Option<&str> {
        self.text.as_deref().map(str::trim).filter(|text| !text.is_empty())
    }

    pub fn number(&self) -> Option<i64> {
        self.get()?.parse().ok()
    }

    #[must_use]
    fn some(text: &(impl ToString + ?Sized)) -> Self {
        Self { text: Some(text.to_string()), enabled: None }
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        Ok(Loose::some(text))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Loose, E> {
        Ok(Loose::some(&number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Loose, E> {
        Ok(Loose::some(&number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Loose, E> {
        Ok(Loose::some(&number))
    }

    fn visit_bool<E>(self, switch: bool) -> Result<Loose, E> {
        Ok(Loose::some(&switch))
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
        let mut loose = Loose::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "$" => loose.text = map.next_value::<Loose>()?.text,
                "@enabled" => {
                    let switch = map.next_value::<Loose>()?;
                    loose.enabled = switch.get().map(|text| text.eq_ignore_ascii_case("true"));
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(loose)
    }
}

/// An object, or nothing where it is something else.
pub fn maybe<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Ok(from.deserialize_any(OneOrMany(PhantomData))?.into_iter().next())
}

/// An object, or the default where it is something else.
pub fn object<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(deserializer.deserialize_any(OneOrMany(PhantomData))?.into_iter().next().unwrap_or_default())
}

/// A list, or a list of one written as that one. What is no object is left out.
pub fn list<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(OneOrMany(PhantomData))
}

struct OneOrMany<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
        Ok(vec![T::deserialize(MapAccessDeserializer::new(map))?])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(Element(some)) = seq.next_element()? {
            all.extend(some);
        }
        Ok(all)
    }

    none!(Vec<T>);
}

/// A list of texts or numbers. What is something else is left out.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_any(Texts)
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = seq.next_element::<Loose>()? {
            all.extend(element.text);
        }
        Ok(all)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Vec::new())
    }

    none!(Vec<String>);
}

/// One element of a list, which may itself be anything.
struct Element<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany(PhantomData)).map(Self)
    }
}
