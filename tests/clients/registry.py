"""Confluent's client for Python, unchanged, against the registry at argv[1].

With a broker as argv[2] and a topic as argv[3] it writes ten records to it besides, as producers do: registering
their schema on the way.
"""

import sys

from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor_pool import DescriptorPool

V1 = '{"type":"record","name":"Order","namespace":"py","fields":[{"name":"id","type":"long"}]}'
V2 = """{"type": "record", "name": "Order", "namespace": "py",
         "fields": [{"name": "id", "type": "long"}, {"name": "note", "type": "string", "default": "none"}]}"""
BROKEN = '{"type":"record","name":"Order","namespace":"py","fields":[{"name":"must","type":"string"}]}'
CUSTOMER = '{"type":"record","name":"Customer","namespace":"py","fields":[{"name":"name","type":"string"}]}'
SALE = '{"type":"record","name":"Sale","namespace":"py","fields":[{"name":"to","type":"py.Customer"}]}'


def refused(code, call, *arguments, **named):
    try:
        answer = call(*arguments, **named)
    except SchemaRegistryError as error:
        assert error.error_code == code, (error, code)
        return error
    raise AssertionError(f"{arguments} was not refused with {code} but answered {answer}")


def subjects_and_versions(client):
    subject = "py/orders-value"
    first = client.register_schema(subject, Schema(V1, "AVRO"))
    client.clear_caches()
    assert client.register_schema(subject, Schema(V1, "AVRO")) == first
    second = client.register_schema(subject, Schema(V2, "AVRO"), normalize_schemas=True)
    assert second > first
    assert client.get_versions(subject) == [1, 2]
    assert subject in client.get_subjects()
    latest = client.get_latest_version(subject)
    assert (latest.schema_id, latest.version, latest.subject) == (second, 2, subject)
    assert client.get_version(subject, 1).schema.schema_str == V1
    client.clear_caches()
    assert client.get_schema(first).schema_str == V1
    looked_up = client.lookup_schema(subject, Schema(V2, "AVRO"))
    assert (looked_up.schema_id, looked_up.version) == (second, 2)
    assert client.get_subjects_by_schema_id(first) == [subject]
    assert [(v.subject, v.version) for v in client.get_schema_versions(first)] == [(subject, 1)]
    refused(40401, client.get_latest_version, "py-none")
    refused(40402, client.get_version, subject, 9)
    refused(40403, client.get_schema, 1_000_000)
    refused(40403, client.lookup_schema, subject, Schema(BROKEN, "AVRO"))
    refused(42201, client.register_schema, subject, Schema('{"type":"recrd"}', "AVRO"))
    refused(42201, client.register_schema, "py-thrift", Schema("struct A {}", "THRIFT"))
    assert client.get_schema_types() == ["AVRO", "JSON", "PROTOBUF"]


def compatibility(client):
    subject = "py/orders-value"
    assert client.test_compatibility(subject, Schema(V2, "AVRO"))
    assert not client.test_compatibility(subject, Schema(BROKEN, "AVRO"))
    assert not client.test_compatibility_all_versions(subject, Schema(BROKEN, "AVRO"))
    error = refused(409, client.register_schema, subject, Schema(BROKEN, "AVRO"))
    assert error.http_status_code == 409 and "must" in error.error_message, error
    refused(40408, client.get_compatibility, subject)
    assert client.get_compatibility() == "BACKWARD"
    assert client.set_compatibility(subject, "none") == {"compatibility": "NONE"}
    assert client.get_compatibility(subject) == "NONE"
    assert client.get_config(subject).compatibility_level.value == "NONE"
    assert client.register_schema(subject, Schema(BROKEN, "AVRO"))
    client.delete_config(subject)
    refused(40408, client.get_compatibility, subject)


def references(client):
    client.register_schema("py-customer", Schema(CUSTOMER, "AVRO"))
    reference = SchemaReference("py.Customer", "py-customer", 1)
    sale = client.register_schema("py-sale", Schema(SALE, "AVRO", [reference]))
    client.clear_caches()
    assert client.get_schema(sale).references[0].subject == "py-customer"
    assert client.get_referenced_by("py-customer", 1) == [sale]
    refused(42206, client.delete_version, "py-customer", 1)
    context = SerializationContext("py-sales", MessageField.VALUE)
    configuration = {"auto.register.schemas": True}
    serializer = AvroSerializer(client, Schema(SALE, "AVRO", [reference]), conf=configuration)
    value = {"to": {"name": "Ada"}}
    assert AvroDeserializer(client)(serializer(value, context), context) == value


def deletion_and_modes(client):
    subject = "py-gone"
    client.register_schema(subject, Schema(V1, "AVRO"))
    client.register_schema(subject, Schema(V2, "AVRO"))
    refused(40407, client.delete_version, subject, 1, permanent=True)
    assert client.delete_version(subject, 1) == 1
    refused(40406, client.delete_version, subject, 1)
    assert client.get_versions(subject) == [2]
    assert client.get_versions(subject, deleted=True) == [1, 2]
    assert client.delete_version(subject, 1, permanent=True) == 1
    assert client.delete_subject(subject) == [2]
    refused(40404, client.delete_subject, subject)
    refused(40401, client.get_versions, subject)
    assert client.delete_subject(subject, permanent=True) == [2]
    refused(40401, client.delete_subject, subject)
    refused(40409, client.get_mode, subject)
    assert client.get_global_mode() == "READWRITE"
    assert client.update_mode(subject, "READONLY") == "READONLY"
    assert client.get_mode(subject) == "READONLY"
    refused(42205, client.register_schema, subject, Schema(CUSTOMER, "AVRO"))
    assert client.delete_mode(subject) == "READONLY"
    client.register_schema(subject, Schema(CUSTOMER, "AVRO"))


def json_schemas(client):
    def schema(more="", end=', "additionalProperties": false'):
        return '{"type": "object", "title": "Order", "properties": {"id": {"type": "integer"}%s}%s}' % (more, end)

    context = SerializationContext("py-json", MessageField.VALUE)
    first = JSONSerializer(schema(), client)({"id": 1}, context)
    noted = schema(', "note": {"type": "string"}')
    second = JSONSerializer(noted, client)({"id": 2, "note": "x"}, context)
    client.clear_caches()
    assert client.get_versions("py-json-value") == [1, 2]
    latest = client.get_latest_version("py-json-value")
    assert (latest.schema.schema_type, latest.schema.schema_str) == ("JSON", noted)
    read = JSONDeserializer(noted, schema_registry_client=client)
    assert [read(first, context), read(second, context)] == [{"id": 1}, {"id": 2, "note": "x"}]
    texts = schema().replace("integer", "string")
    error = refused(409, JSONSerializer(texts, client), {"id": "1"}, context)
    assert "type integer is no longer accepted" in error.error_message, error
    refused(42201, client.register_schema, "py-json-value", Schema('{"type": "text"}', "JSON"))
    # An Avro schema is not the next version of a JSON Schema.
    refused(409, client.register_schema, "py-json-value", Schema(V1, "AVRO"))
    client.register_schema("py-json-id", Schema('{"type": "integer", "minimum": 0}', "JSON"))
    reference = SchemaReference("id.json", "py-json-id", 1)
    referring = Schema('{"properties": {"id": {"$ref": "id.json"}}}', "JSON", [reference])
    client.register_schema("py-json-referring", referring)
    serializer = JSONSerializer(referring, client, conf={"auto.register.schemas": True})
    assert read(serializer({"id": 7}, SerializationContext("py-json-referring", MessageField.VALUE)), context) == {"id": 7}


def message_class(fields, kind=descriptor_pb2.FieldDescriptorProto.TYPE_INT64):
    """A message of `fields`, names by number, and one of another file, as protoc would make its class."""
    file = descriptor_pb2.FileDescriptorProto(name="order.proto", package="py", syntax="proto3", dependency=["money.proto"])
    message = file.message_type.add(name="Order")
    single = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
    for number, name in fields.items():
        message.field.add(name=name, number=number, label=single, type=kind)
    message.field.add(
        name="total", number=9, label=single, type=descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE, type_name=".py.Money"
    )
    money = descriptor_pb2.FileDescriptorProto(name="money.proto", package="py", syntax="proto3")
    cents = money.message_type.add(name="Money").field.add(name="cents", number=1, label=single)
    cents.type = descriptor_pb2.FieldDescriptorProto.TYPE_INT64
    pool = DescriptorPool()
    pool.Add(money)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("py.Order"))


def protobuf_schemas(client):
    first, second = message_class({1: "id"}), message_class({1: "id", 2: "n"})
    context = SerializationContext("py-protobuf", MessageField.VALUE)
    written = []
    for order in first(id=1), second(id=2, n=3, total={"cents": 4}):
        written.append(ProtobufSerializer(type(order), client, {"use.deprecated.format": False})(order, context))
        client.clear_caches()
    assert client.get_versions("py-protobuf-value") == [1, 2]
    latest = client.get_latest_version("py-protobuf-value")
    assert latest.schema.schema_type == "PROTOBUF"
    assert [(r.name, r.subject, r.version) for r in latest.schema.references] == [("money.proto", "money.proto", 1)]
    read = ProtobufDeserializer(second, {"use.deprecated.format": False}, client)
    orders = [read(value, context) for value in written]
    assert [(order.id, order.n, order.total.cents) for order in orders] == [(1, 0, 0), (2, 3, 4)], orders
    texts = message_class({1: "id"}, descriptor_pb2.FieldDescriptorProto.TYPE_STRING)
    broken = ProtobufSerializer(texts, client, {"use.deprecated.format": False})
    error = refused(409, broken, texts(id="1"), context)
    assert "field 1 is int64 of the writer" in error.error_message, error
    text = 'syntax = "proto3"; package py; import "money.proto"; message Order { int64 id = 1; int64 n = 2; Money total = 9; }'
    reference = SchemaReference("money.proto", "money.proto", 1)
    known = client.lookup_schema("py-protobuf-value", Schema(text, "PROTOBUF", [reference]))
    assert known.version == 2, known
    refused(42201, client.register_schema, "py-protobuf-value", Schema("message {", "PROTOBUF"))
    refused(42206, client.delete_version, "money.proto", 1)


def produce(client, servers, topic):
    serializer = AvroSerializer(client, V1)
    producer = Producer({"bootstrap.servers": servers})
    context = SerializationContext(topic, MessageField.VALUE)
    for number in range(10):
        producer.produce(topic, value=serializer({"id": number}, context))
    assert producer.flush(60) == 0


client = SchemaRegistryClient({"url": sys.argv[1]})
if len(sys.argv) > 2:
    produce(client, sys.argv[2], sys.argv[3])
else:
    subjects_and_versions(client)
    compatibility(client)
    references(client)
    deletion_and_modes(client)
    json_schemas(client)
    protobuf_schemas(client)
print("done")
