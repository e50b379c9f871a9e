//! What each reason means and what to do about it, in words for whoever has to do it.

/// One of the seven reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// As on the wire.
    pub word: &'static str,
    /// A few words, for filters.
    pub title: &'static str,
    pub meaning: &'static str,
    pub advice: &'static str,
}

/// In the order of the data path.
pub const ALL: [Reason; 7] = [
    Reason {
        word: "bad_framing",
        title: "Not framed",
        meaning: "The value is not in Confluent's wire format: it does not begin with a zero byte and a schema id.",
        advice: "Find the producer that writes to this topic without the registry's serializer; the bytes often show who it is.",
    },
    Reason {
        word: "unknown_schema",
        title: "Unknown schema",
        meaning: "The registry says that it has no schema of this id.",
        advice: "Check that the producer registers with the same registry as weir.yaml names, and that the schema was not deleted.",
    },
    Reason {
        word: "incompatible_schema",
        title: "Incompatible schema",
        meaning: "The schema it was written with can't be read as the source's schema.",
        advice: "Give new fields a default, or set \"schema\" in the source's file to a version that reads both.",
    },
    Reason {
        word: "bad_payload",
        title: "Bad payload",
        meaning: "The bytes do not fit the schema that they name: they end early, go on too long, or hold what can't be.",
        advice: "Look where decoding stops, below: the producer wrote with another schema than it named, or the record was cut.",
    },
    Reason {
        word: "bad_event_time",
        title: "Bad event time",
        meaning: "The event time is null, or further ahead of the record's own time than \"max_ahead\" allows.",
        advice: "Look for a device with a wrong clock; raise \"max_ahead\" in the source's file if such times are right.",
    },
    Reason {
        word: "evaluation_error",
        title: "Evaluation error",
        meaning: "An expression of the pipeline's SQL fails on this row: a division by zero, a cast, an overflow.",
        advice: "Make the SQL say what such rows mean, with NULLIF, TRY_CAST or CASE, or filter them in WHERE.",
    },
    Reason {
        word: "late_row",
        title: "Late",
        meaning: "The row came after a window that it belongs to had closed. It still counts in windows that were open.",
        advice: "If many are late, raise \"delay\" of the source or \"lateness\" of the pipeline: windows then close later.",
    },
];

/// The reason of a word; `None` for one that a newer server may say.
pub fn of(word: &str) -> Option<&'static Reason> {
    ALL.iter().find(|reason| reason.word == word)
}

/// The few words of a reason, or its word.
pub fn title(word: &str) -> &str {
    of(word).map_or(word, |reason| reason.title)
}

/// Its place in the palette; unknown ones come last.
pub fn slot(word: &str) -> usize {
    ALL.iter().position(|reason| reason.word == word).unwrap_or(ALL.len())
}
