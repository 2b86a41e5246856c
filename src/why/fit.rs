use std::ops::Not;

/// Whether something holds; nobody may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Yes,
    No,
    Unsure,
}

impl Fit {
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unsure,
        }
    }

    pub(crate) fn all(list: impl IntoIterator<Item = Self>) -> Self {
        list.into_iter().fold(Self::Yes, Self::and)
    }

    pub(crate) fn any(list: impl IntoIterator<Item = Self>) -> Self {
        !list.into_iter().fold(Self::Yes, |all, one| all.and(!one))
    }
}

impl Not for Fit {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unsure => Self::Unsure,
        }
    }
}

impl From<bool> for Fit {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}
