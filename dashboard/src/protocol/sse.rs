//! Server-sent events from chunks of bytes.
//!
//! Invariants:
//! 1. Any way of cutting the bytes into chunks gives the same frames: a line counts once its end is there.
//! 2. Memory is bounded: a line or an event over [`MAX_BYTES`] ends the stream with an error.
//!
//! Rules: WHATWG HTML, "Interpreting an event stream".

/// Twice what the server promises for an event (4 MiB), so that a larger one is a fault and not bad luck.
pub const MAX_BYTES: usize = 8 << 20;

/// One event as it came, before its data is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The `event:` line; `message` where there was none.
    pub name: String,
    /// The `data:` lines, joined by line feeds.
    pub data: String,
    /// The `id:` line of this event or of the last one that had any; empty at first.
    pub id: String,
}

/// The stream can't be read; connect anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    TooLong,
    NotUtf8,
}

/// Keeps what is not yet a whole event.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_return: bool,
    name: String,
    data: String,
    has_data: bool,
    id: String,
}

impl Parser {
    /// Takes the next bytes and appends the events they complete to `frames`. Comments make no frame.
    ///
    /// # Errors
    /// See [`Error`]; the parser is of no use afterwards.
    pub fn push(&mut self, chunk: &[u8], frames: &mut Vec<Frame>) -> Result<(), Error> {
        let mut rest = chunk;
        if self.after_return && !rest.is_empty() {
            self.after_return = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r') {
            self.line.extend_from_slice(&rest[..end]);
            let returned = rest[end] == b'\r';
            rest = &rest[end + 1..];
            if returned {
                match rest.first() {
                    Some(b'\n') => rest = &rest[1..],
                    Some(_) => {}
                    None => self.after_return = true,
                }
            }
            let line = std::mem::take(&mut self.line);
            self.end_line(std::str::from_utf8(&line).map_err(|_| Error::NotUtf8)?, frames)?;
            self.line = line;
            self.line.clear();
        }
        if self.line.len() + rest.len() > MAX_BYTES {
            return Err(Error::TooLong);
        }
        self.line.extend_from_slice(rest);
        Ok(())
    }

    fn end_line(&mut self, line: &str, frames: &mut Vec<Frame>) -> Result<(), Error> {
        if line.is_empty() {
            self.end_event(frames);
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = value.to_owned(),
            "id" if !value.contains('\0') => self.id = value.to_owned(),
            "data" => {
                if self.data.len() + value.len() > MAX_BYTES {
                    return Err(Error::TooLong);
                }
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(value);
            }
            _ => {}
        }
        Ok(())
    }

    fn end_event(&mut self, frames: &mut Vec<Frame>) {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        if std::mem::take(&mut self.has_data) {
            let name = if name.is_empty() { "message".to_owned() } else { name };
            frames.push(Frame { name, data, id: self.id.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Frame> {
        let mut parser = Parser::default();
        let mut frames = Vec::new();
        for chunk in chunks {
            parser.push(chunk, &mut frames).expect("a short stream");
        }
        frames
    }

    fn frame(name: &str, data: &str, id: &str) -> Frame {
        Frame { name: name.into(), data: data.into(), id: id.into() }
    }

    const STREAM: &str = "\u{feff}: hello\n\nevent: snapshot\nid: 7\ndata: {\"a\":\r\ndata:1}\r\n\r\n: beat\n\n\
        event:delta\rdata: é\r\rid: 9\nevent: status\n\nid\ndata\n\nevent: delta\ndata: unfinished\n";

    #[test]
    fn fields_follow_the_standard() {
        let expected =
            [frame("snapshot", "{\"a\":\n1}", "7"), frame("delta", "é", "7"), frame("message", "", "")];
        assert_eq!(parse([STREAM.as_bytes()]), expected);
    }

    #[test]
    fn endless_line_is_refused() {
        let mut parser = Parser::default();
        let chunk = vec![b'x'; 1 << 20];
        let mut frames = Vec::new();
        let refused = (0..=MAX_BYTES >> 20).find_map(|_| parser.push(&chunk, &mut frames).err());
        assert_eq!(refused, Some(Error::TooLong));
        assert_eq!(parser.push(b"\xff\n", &mut frames).err(), Some(Error::NotUtf8));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(mut cuts in prop::collection::vec(0..STREAM.len(), 0..12)) {
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let bytes = STREAM.as_bytes();
            let chunks = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(parse(chunks), parse([bytes]));
        }
    }
}
