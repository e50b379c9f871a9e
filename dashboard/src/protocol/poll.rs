//! The events of the stream by asking again and again: for networks that hold streams back or cut them.

use serde_json::Value;

use super::json;
use super::sse::Frame;

/// The answer to a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What the next poll goes on behind.
    pub id: String,
    pub frames: Vec<Frame>,
}

/// Reads the answer to a poll; `None` where it is none.
///
/// By hand: the wire type's derived reader would be the largest function of the page.
pub fn read(text: &str) -> Option<Answer> {
    let answer: Value = serde_json::from_str(text).ok()?;
    let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
    let frame = |event: &Value| {
        let (name, id) = (text(event, "event")?, text(event, "id")?);
        Some(Frame { name, id, data: json::text(event.get("data")?) })
    };
    let frames = answer.get("events")?.as_array()?.iter().map(frame);
    Some(Answer { id: text(&answer, "id")?, frames: frames.collect::<Option<_>>()? })
}

/// Asks until `signal` ends it, or something goes wrong; `on_open` as [`stream::read`](super::stream::read)'s.
/// `on_frames` gets the events of each answer, perhaps none, and returns why it must end, if it must.
///
/// # Errors
/// Always: it has no good end. The text is the reason.
#[cfg(target_arch = "wasm32")]
pub async fn ask(
    wanted: &super::Wanted,
    mut after: Option<String>,
    signal: &web_sys::AbortSignal,
    on_open: impl FnOnce(Option<f64>),
    mut on_frames: impl FnMut(Vec<Frame>) -> Result<(), String>,
) -> Result<(), super::http::Failure> {
    use super::http::{self, Failure};

    let mut on_open = Some(on_open);
    loop {
        let init = web_sys::RequestInit::new();
        init.set_signal(Some(signal));
        init.set_headers(&http::headers("application/json", None)?);
        let response = http::send(&wanted.poll_path(after.as_deref()), &init).await?;
        if let Some(on_open) = on_open.take() {
            on_open(http::date_ms(&response));
        }
        let unreadable = || Failure::Unreadable("it is not the answer to a poll".into());
        let answer = read(&http::text(&response).await?).ok_or_else(unreadable)?;
        on_frames(answer.frames).map_err(Failure::Unreadable)?;
        after = Some(answer.id);
    }
}

#[cfg(test)]
mod tests {
    use weir_api::Event;

    use super::*;

    #[test]
    fn answers_hold_the_events_of_the_stream() {
        let text = r#"{"id":"2","events":[{"event":"delta","id":"1","data":{"table":"a","epoch":9,"watermark":null,"upserts":[["9007199254740993",9007199254740993]],"deletes":[]}},{"event":"news","id":"2","data":{}}]}"#;
        let answer = read(text).expect("an answer");
        assert_eq!((answer.id.as_str(), answer.frames.len()), ("2", 2));
        let Ok(Some(Event::Delta(delta))) = Event::parse(&answer.frames[0].name, &answer.frames[0].data)
        else {
            panic!("not a delta: {answer:?}");
        };
        assert_eq!(delta.upserts[0][1].to_string(), "9007199254740993");
        assert_eq!(Event::parse(&answer.frames[1].name, &answer.frames[1].data).expect("skipped"), None);
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for wrong in ["", "{}", r#"{"id":"1","events":[{"id":"1"}]}"#, r#"{"id":1,"events":[]}"#] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(read(r#"{"id":"1","events":[]}"#).is_some_and(|answer| answer.frames.is_empty()));
    }
}
