//! Records of files as rows: by the decoder of all records, but for bytes that the reader knows to be none.

use weir_engine::connector::{Decoded, Decoder, Reason, RecordBlock, Rejected, SourceError};

use super::reader::Damages;
use crate::kafka::RecordDecoder;

/// See the module.
pub(super) struct FilesDecoder {
    records: RecordDecoder,
    damages: Damages,
}

impl FilesDecoder {
    pub(super) fn new(records: RecordDecoder, damages: Damages) -> Self {
        Self { records, damages }
    }
}

impl Decoder for FilesDecoder {
    fn decode(&mut self, block: &RecordBlock, from: usize) -> Result<Decoded, SourceError> {
        let offset = block.offsets.first().filter(|_| block.len() == 1 && from == 0);
        let Some(detail) = offset.and_then(|offset| self.damages.take(block.partition, *offset)) else {
            return self.records.decode(block, from);
        };
        let rejected = vec![Rejected { record: 0, reason: Reason::BadPayload, detail }];
        Ok(Decoded { rejected, ..self.records.decode(block, block.len())? })
    }

    fn schema_id(&self, value: &[u8]) -> Option<u32> {
        self.records.schema_id(value)
    }
}
