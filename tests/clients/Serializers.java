// Confluent's serializers for Java, unchanged, against the registry at args[0]: as Pulsar ships them, with their packages
// renamed. With a broker as args[1] and a topic as args[2] they write ten records to it besides, of two schemas.

import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.pulsar.kafka.shade.avro.Schema;
import org.apache.pulsar.kafka.shade.avro.generic.GenericData;
import org.apache.pulsar.kafka.shade.avro.generic.GenericRecord;
import org.apache.pulsar.kafka.shade.io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import org.apache.pulsar.kafka.shade.io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import org.apache.pulsar.kafka.shade.io.confluent.kafka.serializers.KafkaAvroDeserializer;
import org.apache.pulsar.kafka.shade.io.confluent.kafka.serializers.KafkaAvroSerializer;

class Serializers {
    static final String ID = "{\"name\":\"id\",\"type\":\"long\"}";
    static final Schema V1 = record(ID);
    static final Schema V2 = record(ID + ",{\"name\":\"note\",\"type\":\"string\",\"default\":\"none\"}");
    static final Schema BROKEN = record(ID + ",{\"name\":\"must\",\"type\":\"string\"}");

    static Schema record(String fields) {
        return new Schema.Parser().parse("{\"type\":\"record\",\"name\":\"Order\",\"namespace\":\"sold\",\"fields\":[" + fields + "]}");
    }

    static GenericRecord order(Schema schema, long id, String field, String text) {
        var record = new GenericData.Record(schema);
        record.put("id", id);
        if (field != null) {
            record.put(field, text);
        }
        return record;
    }

    static void same(Object found, Object expected) {
        if (!expected.equals(found)) {
            throw new AssertionError("found " + found + ", not " + expected);
        }
    }

    static KafkaAvroSerializer serializer(String url, Map<String, Object> more) {
        var settings = new java.util.HashMap<String, Object>(Map.of("schema.registry.url", url));
        settings.putAll(more);
        var serializer = new KafkaAvroSerializer();
        serializer.configure(settings, false);
        return serializer;
    }

    static void refused(int status, int code, Runnable call) {
        try {
            call.run();
        } catch (SerializationException error) {
            var cause = (RestClientException) error.getCause();
            same(List.of(cause.getStatus(), cause.getErrorCode()), List.of(status, code));
            return;
        }
        throw new AssertionError("not refused with " + code);
    }

    public static void main(String[] args) throws Exception {
        if (args.length > 1) {
            produce(args[0], args[1], args[2]);
        } else {
            evolve(args[0]);
            known(args[0]);
        }
        System.out.println("done");
    }

    static void evolve(String url) throws Exception {
        var topic = "java-evolving";
        var client = new CachedSchemaRegistryClient(url, 100);
        var serializer = serializer(url, Map.of());
        var first = serializer.serialize(topic, order(V1, 1, null, null));
        same(client.getAllVersions(topic + "-value"), List.of(1));
        var second = serializer.serialize(topic, order(V2, 2, "note", "x"));
        same(client.getAllVersions(topic + "-value"), List.of(1, 2));
        refused(409, 409, () -> serializer.serialize(topic, order(BROKEN, 3, "must", "x")));
        client.updateCompatibility(topic + "-value", "FORWARD");
        same(client.getCompatibility(topic + "-value"), "FORWARD");
        var third = serializer.serialize(topic, order(BROKEN, 3, "must", "x"));
        same(client.getAllVersions(topic + "-value"), List.of(1, 2, 3));
        refused(409, 409, () -> serializer.serialize(topic, new GenericData.Record(record(""))));

        var deserializer = new KafkaAvroDeserializer();
        deserializer.configure(Map.of("schema.registry.url", url), false);
        same(deserializer.deserialize(topic, first), order(V1, 1, null, null));
        same(((GenericRecord) deserializer.deserialize(topic, second)).getSchema(), V2);
        same(deserializer.deserialize(topic, third), order(BROKEN, 3, "must", "x"));
        // Read with a schema of the reader's own.
        same(deserializer.deserialize(topic, first, V2), order(V2, 1, "note", "none"));
    }

    /** What producers do that must not register: they look up, or take the latest version. */
    static void known(String url) {
        var topic = "java-evolving";
        var careful = serializer(url, Map.of("auto.register.schemas", false));
        same(careful.serialize(topic, order(V1, 7, null, null)).length, 6);
        refused(404, 40403, () -> careful.serialize(topic, new GenericData.Record(record(""))));
        refused(404, 40401, () -> careful.serialize("java-none", order(V1, 7, null, null)));
        var latest = serializer(url, Map.of("auto.register.schemas", false, "use.latest.version", true));
        var bytes = latest.serialize(topic, order(BROKEN, 7, "must", "y"));
        var deserializer = new KafkaAvroDeserializer();
        deserializer.configure(Map.of("schema.registry.url", url), false);
        same(((GenericRecord) deserializer.deserialize(topic, bytes)).getSchema(), BROKEN);
    }

    static void produce(String url, String servers, String topic) throws Exception {
        var settings = Map.<String, Object>of("bootstrap.servers", servers, "schema.registry.url", url,
            "key.serializer", KafkaAvroSerializer.class, "value.serializer", KafkaAvroSerializer.class);
        try (var producer = new KafkaProducer<Object, Object>(settings)) {
            for (long id = 0; id < 10; id++) {
                var value = id < 5 ? order(V1, id, null, null) : order(V2, id, "note", "new");
                producer.send(new ProducerRecord<>(topic, "key " + id, value)).get();
            }
        }
    }
}
