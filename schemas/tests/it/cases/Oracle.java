// What Apache Avro for Java makes of the tables of cases beside it; prints where that is not what they say.
//
//     java -cp 'avro-1.12.1.jar:jackson-core.jar:jackson-databind.jar:jackson-annotations.jar:slf4j-api.jar:commons-compress.jar' \
//         Oracle.java *.json

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.*;
import java.io.*;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.*;
import org.apache.avro.*;
import org.apache.avro.generic.*;
import org.apache.avro.io.*;

public class Oracle {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] files) throws Exception {
        int cases = 0, others = 0;
        for (String file : files) {
            JsonNode table = JSON.readTree(new File(file));
            List<ObjectNode> all = new ArrayList<>();
            if (table.has("reads")) primitives(table, all);
            else for (JsonNode group : table) for (JsonNode c : group.get("cases")) all.add((ObjectNode) c);
            for (ObjectNode c : all) {
                cases++;
                JsonNode expected = (c.has("java") ? c.get("java") : c).get("value");
                JsonNode found;
                String error = "";
                try {
                    found = read(c);
                } catch (AvroRuntimeException | IOException | ClassCastException | NumberFormatException e) {
                    found = null;
                    error = e.toString();
                }
                if (!Objects.equals(text(expected), text(found))) {
                    others++;
                    System.out.println(file + ": " + c.get("name").asText() + ": " + text(found) + " " + error);
                }
            }
        }
        System.out.println(cases + " cases, " + others + " with another answer");
    }

    static String text(JsonNode value) {
        return value == null ? "refused" : value.toString();
    }

    static void primitives(JsonNode table, List<ObjectNode> all) {
        for (String writer : (Iterable<String>) () -> table.get("datums").fieldNames()) {
            for (String reader : (Iterable<String>) () -> table.get("datums").fieldNames()) {
                ObjectNode c = JSON.createObjectNode().put("name", writer + " as " + reader).put("writer", writer).put("reader", reader);
                c.set("datum", table.get("datums").get(writer));
                JsonNode value = table.get("reads").get(writer).get(reader);
                if (value != null) c.set("value", value);
                all.add(c);
            }
        }
    }

    static Schema record(JsonNode type, JsonNode standard) {
        ObjectNode record = JSON.createObjectNode().put("type", "record").put("name", "R").put("namespace", "shop");
        ArrayNode fields = record.putArray("fields");
        if (type != null) {
            ObjectNode field = fields.addObject().put("name", "x");
            field.set("type", type);
            if (standard != null) field.set("default", standard);
        }
        return new Schema.Parser().parse(record.toString());
    }

    static JsonNode read(JsonNode c) throws IOException {
        Schema writer = record(c.get("writer"), null), reader = record(c.get("reader"), c.get("default"));
        ObjectNode datum = JSON.createObjectNode();
        if (c.has("writer")) datum.set("x", c.get("datum"));
        Object written = new GenericDatumReader<>(writer).read(null, DecoderFactory.get().jsonDecoder(writer, datum.toString()));
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
        new GenericDatumWriter<>(writer).write(written, encoder);
        encoder.flush();
        GenericRecord read = new GenericDatumReader<GenericRecord>(writer, reader)
            .read(null, DecoderFactory.get().binaryDecoder(bytes.toByteArray(), null));
        return json(reader.getField("x").schema(), read.get("x"));
    }

    static JsonNode json(Schema schema, Object value) {
        JsonNodeFactory f = JsonNodeFactory.instance;
        LogicalType logical = schema.getLogicalType();
        String logicalName = logical == null ? "" : logical.getName();
        switch (schema.getType()) {
            case NULL: return f.nullNode();
            case BOOLEAN: return f.booleanNode((Boolean) value);
            case INT: return f.numberNode((Integer) value);
            case LONG: {
                // Small numbers are ints to Jackson, as in the tables.
                long n = (Long) value;
                return n == (int) n ? f.numberNode((int) n) : f.numberNode(n);
            }
            case FLOAT: return f.textNode(plain((Float) value));
            case DOUBLE: return f.textNode(plain((Double) value));
            case STRING: return f.textNode(value.toString());
            case ENUM: return f.textNode(value.toString());
            case BYTES: {
                ByteBuffer buffer = ((ByteBuffer) value).duplicate();
                byte[] bytes = new byte[buffer.remaining()];
                buffer.get(bytes);
                return logicalName.equals("decimal") ? f.textNode(new BigInteger(bytes).toString()) : hex(bytes);
            }
            case FIXED: {
                byte[] bytes = ((GenericFixed) value).bytes();
                if (logicalName.equals("decimal")) return f.textNode(new BigInteger(bytes).toString());
                if (logicalName.equals("uuid")) {
                    ByteBuffer buffer = ByteBuffer.wrap(bytes);
                    return f.textNode(new UUID(buffer.getLong(), buffer.getLong()).toString());
                }
                return hex(bytes);
            }
            case ARRAY: {
                ArrayNode array = f.arrayNode();
                for (Object item : (Collection<?>) value) array.add(json(schema.getElementType(), item));
                return array;
            }
            case MAP: {
                ObjectNode object = f.objectNode();
                new TreeMap<>(strings((Map<?, ?>) value)).forEach((key, item) -> object.set(key, json(schema.getValueType(), item)));
                return object;
            }
            case RECORD: {
                ObjectNode object = f.objectNode();
                for (Schema.Field field : schema.getFields()) object.set(field.name(), json(field.schema(), ((GenericRecord) value).get(field.pos())));
                return object;
            }
            default: {
                Schema branch = schema.getTypes().get(GenericData.get().resolveUnion(schema, value));
                JsonNode plain = json(branch, value);
                long types = schema.getTypes().stream().filter(s -> s.getType() != Schema.Type.NULL).count();
                return types < 2 || branch.getType() == Schema.Type.NULL ? plain : f.objectNode().set(branch.getFullName(), plain);
            }
        }
    }

    static String plain(double value) {
        if (Double.isInfinite(value)) return value < 0 ? "-inf" : "inf";
        return Double.isNaN(value) || Double.isInfinite(value) || value != Math.rint(value) ? "" + value : new java.math.BigDecimal(value).toPlainString() + ".0";
    }

    static Map<String, Object> strings(Map<?, ?> map) {
        Map<String, Object> strings = new HashMap<>();
        map.forEach((key, value) -> strings.put(key.toString(), value));
        return strings;
    }

    static JsonNode hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte b : bytes) text.append(String.format("%02x", b));
        return JsonNodeFactory.instance.textNode(text.toString());
    }
}
