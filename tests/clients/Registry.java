// Confluent's client for Java, unchanged, against the registry at args[0]: as Flink ships it, with its packages renamed,
// and what Flink itself reads and writes schemas with.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.util.List;
import java.util.Map;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.avro.AvroSchema;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.avro.AvroSchemaProvider;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.entities.Config;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.entities.SchemaReference;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.formats.avro.registry.confluent.ConfluentSchemaRegistryCoder;

class Registry {
    static final String SUBJECT = "java/orders-value";
    static final AvroSchema V1 = record("Order", "{\"name\":\"id\",\"type\":\"long\"}");
    static final AvroSchema V2 = record("Order",
        "{\"name\":\"id\",\"type\":\"long\"},{\"name\":\"note\",\"type\":\"string\",\"default\":\"\"}");
    static final AvroSchema BROKEN = record("Order", "{\"name\":\"must\",\"type\":\"string\"}");

    interface Call {
        Object run() throws Exception;
    }

    static AvroSchema record(String name, String fields) {
        return new AvroSchema("{\"type\":\"record\",\"name\":\"" + name + "\",\"namespace\":\"java\",\"fields\":[" + fields + "]}");
    }

    static void same(Object found, Object expected) {
        if (!expected.equals(found)) {
            throw new AssertionError("found " + found + ", not " + expected);
        }
    }

    static void refused(int status, int code, Call call) throws Exception {
        Object answer;
        try {
            answer = call.run();
        } catch (RestClientException error) {
            same(List.of(error.getStatus(), error.getErrorCode()), List.of(status, code));
            return;
        }
        throw new AssertionError("not refused with " + code + ", but answered " + answer);
    }

    public static void main(String[] args) throws Exception {
        var provider = new AvroSchemaProvider();
        var client = new CachedSchemaRegistryClient(List.of(args[0]), 100, List.of(provider), Map.of());
        versions(client);
        compatibility(client);
        references(client);
        deletion(client);
        flink(client);
        System.out.println("done");
    }

    static void versions(CachedSchemaRegistryClient client) throws Exception {
        int first = client.register(SUBJECT, V1);
        int second = client.register(SUBJECT, V2, true);
        client.reset();
        same(client.register(SUBJECT, V1), first);
        same(client.getId(SUBJECT, V2), second);
        same(client.getVersion(SUBJECT, V1), 1);
        same(client.getAllVersions(SUBJECT), List.of(1, 2));
        same(client.getAllSubjects().contains(SUBJECT), true);
        same(client.getAllSubjectsByPrefix("java/"), List.of(SUBJECT));
        same(client.getSchemaById(first), V1);
        same(client.getSchemaBySubjectAndId(SUBJECT, first), V1);
        same(List.copyOf(client.getAllSubjectsById(first)), List.of(SUBJECT));
        same(client.getAllVersionsById(second).iterator().next().getVersion(), 2);
        same(client.getLatestSchemaMetadata(SUBJECT).getId(), second);
        same(client.getSchemaMetadata(SUBJECT, 1).getId(), first);
        same(client.getSchemas("java/", false, true).size(), 1);
        refused(404, 40401, () -> client.getLatestSchemaMetadata("java-none"));
        refused(404, 40402, () -> client.getSchemaMetadata(SUBJECT, 9));
        refused(404, 40403, () -> client.getSchemaById(1_000_000));
        refused(404, 40403, () -> client.getId(SUBJECT, BROKEN));
    }

    static void compatibility(CachedSchemaRegistryClient client) throws Exception {
        same(client.testCompatibility(SUBJECT, V2), true);
        same(client.testCompatibility(SUBJECT, BROKEN), false);
        same(client.testCompatibilityVerbose(SUBJECT, BROKEN).get(0).contains("must"), true);
        refused(409, 409, () -> client.register(SUBJECT, BROKEN));
        same(client.getCompatibility(null), "BACKWARD");
        refused(404, 40408, () -> client.getConfig(SUBJECT));
        same(client.updateConfig(SUBJECT, new Config("FULL_TRANSITIVE")).getCompatibilityLevel(), "FULL_TRANSITIVE");
        same(client.getConfig(SUBJECT).getCompatibilityLevel(), "FULL_TRANSITIVE");
        client.deleteConfig(SUBJECT);
        refused(404, 40408, () -> client.getConfig(SUBJECT));
        same(client.getMode(), "READWRITE");
        same(client.setMode("READONLY", "java-closed"), "READONLY");
        refused(422, 42205, () -> client.register("java-closed", V1));
        client.deleteMode("java-closed");
        refused(404, 40409, () -> client.getMode("java-closed"));
    }

    static void references(CachedSchemaRegistryClient client) throws Exception {
        var customer = record("Customer", "{\"name\":\"name\",\"type\":\"string\"}");
        client.register("java-customer", customer);
        var references = List.of(new SchemaReference("java.Customer", "java-customer", 1));
        var text = "{\"type\":\"record\",\"name\":\"Sale\",\"namespace\":\"java\",\"fields\":[{\"name\":\"to\",\"type\":\"java.Customer\"}]}";
        var sale = new AvroSchema(text, references, Map.of("java.Customer", customer.canonicalString()), null);
        int id = client.register("java-sale", sale);
        client.reset();
        same(client.getSchemaById(id).references(), references);
        same(((Schema) client.getSchemaById(id).rawSchema()).getField("to").schema().getFullName(), "java.Customer");
        refused(422, 42206, () -> client.deleteSchemaVersion("java-customer", "1"));
    }

    static void deletion(CachedSchemaRegistryClient client) throws Exception {
        refused(404, 40407, () -> client.deleteSchemaVersion(SUBJECT, "1", true));
        same(client.deleteSchemaVersion(SUBJECT, "1"), 1);
        refused(404, 40406, () -> client.deleteSchemaVersion(SUBJECT, "1"));
        same(client.getAllVersions(SUBJECT, true), List.of(1, 2));
        same(client.deleteSubject(SUBJECT), List.of(2));
        refused(404, 40404, () -> client.deleteSubject(SUBJECT));
        same(client.deleteSubject(SUBJECT, true), List.of(1, 2));
        refused(404, 40401, () -> client.getAllVersions(SUBJECT));
    }

    static void flink(CachedSchemaRegistryClient client) throws Exception {
        var coder = new ConfluentSchemaRegistryCoder("java-flink-value", client);
        var bytes = new ByteArrayOutputStream();
        coder.writeSchema(V1.rawSchema(), bytes);
        same(bytes.size(), 5);
        client.reset();
        same(coder.readSchema(new ByteArrayInputStream(bytes.toByteArray())), V1.rawSchema());
    }
}
