// Confluent's client for Node and that of KafkaJS, unchanged, against the registry at argv[2].

const assert = require("node:assert/strict");
const { AvroDeserializer, AvroSerializer, Compatibility, SchemaRegistryClient, SerdeType } = require("@confluentinc/schemaregistry");
const kafkajs = require("@kafkajs/confluent-schema-registry");

const schema = (...fields) => ({
  schemaType: "AVRO",
  schema: JSON.stringify({ type: "record", name: "Order", namespace: "js", fields }),
});
const v1 = schema({ name: "id", type: "long" });
const v2 = schema({ name: "id", type: "long" }, { name: "note", type: "string", default: "" });
const broken = schema({ name: "must", type: "string" });

async function refused(status, code, call) {
  const error = await call().then((answer) => assert.fail(`answered ${JSON.stringify(answer)}`), (error) => error);
  assert.equal(error.status, status, String(error));
  assert.equal(error.errorCode, code, String(error));
}

async function confluent() {
  const client = new SchemaRegistryClient({ baseURLs: [process.argv[2]] });
  const subject = "js orders-value";
  const first = await client.register(subject, v1);
  const second = await client.register(subject, v2);
  assert.notEqual(first, second);
  assert.deepEqual(await client.getAllVersions(subject), [1, 2]);
  assert.equal((await client.getLatestSchemaMetadata(subject)).id, second);
  assert.equal((await client.getBySubjectAndId(subject, first)).schema, v1.schema);
  assert.equal(await client.getId(subject, v2), second);
  assert.equal(await client.getVersion(subject, v1), 1);
  assert.equal(await client.testSubjectCompatibility(subject, v2), true);
  assert.equal(await client.testCompatibility(subject, 1, broken), false);
  await refused(409, 409, () => client.register(subject, broken));
  await refused(404, 40408, () => client.getCompatibility(subject));
  assert.equal(await client.getDefaultCompatibility(), "BACKWARD");
  assert.equal(await client.updateCompatibility(subject, Compatibility.FULL_TRANSITIVE), "FULL_TRANSITIVE");
  assert.equal((await client.getConfig(subject)).compatibilityLevel, "FULL_TRANSITIVE");
  assert.ok((await client.getAllSubjects()).includes(subject));

  const serializer = new AvroSerializer(client, SerdeType.VALUE, { useLatestVersion: true });
  const deserializer = new AvroDeserializer(client, SerdeType.VALUE, {});
  await client.register("js-topic-value", v2);
  const bytes = await serializer.serialize("js-topic", { id: 7, note: "x" });
  assert.deepEqual({ ...(await deserializer.deserialize("js-topic", bytes)) }, { id: 7, note: "x" });

  assert.deepEqual(await client.deleteSubjectVersion(subject, 1), 1);
  assert.deepEqual(await client.deleteSubject(subject), [2]);
  assert.deepEqual(await client.deleteSubject(subject, true), [1, 2]);
  await refused(404, 40401, () => client.getAllVersions(subject));
}

async function ofKafkaJs() {
  const client = new kafkajs.SchemaRegistry({ host: process.argv[2] });
  const subject = "kafkajs-value";
  const register = ({ schema }) => client.register({ type: kafkajs.SchemaType.AVRO, schema }, { subject });
  const first = await register(v1);
  const second = await register(v2);
  assert.notEqual(first.id, second.id);
  // It says of a subject that it has no configuration yet what holds for it.
  const config = await fetch(`${process.argv[2]}/config/${subject}`);
  assert.deepEqual(await config.json(), { compatibilityLevel: kafkajs.COMPATIBILITY.BACKWARD });
  await assert.rejects(() => register(broken), /incompatible/);
  assert.equal(await client.getLatestSchemaId(subject), second.id);
  assert.equal(await client.getRegistryId(subject, 1), first.id);
  assert.equal(await client.getRegistryIdBySchema(subject, { type: "AVRO", schema: v2.schema }), second.id);
  await assert.rejects(() => client.getLatestSchemaId("kafkajs-none"), /not found/);
  const bytes = await client.encode(second.id, { id: 7, note: "x" });
  const fresh = new kafkajs.SchemaRegistry({ host: process.argv[2] });
  assert.deepEqual({ ...(await fresh.decode(bytes)) }, { id: 7, note: "x" });
}

async function main() {
  await confluent();
  await ofKafkaJs();
  console.log("done");
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
