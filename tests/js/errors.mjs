// Errors come as the SDK's own classes: [name, HTTP status, is it that class].
import * as sdk from '@aws-sdk/client-lambda';
import { ROLE, name, zip } from './common.mjs';

const client = new sdk.LambdaClient({ maxAttempts: 1 }), FunctionName = name('e');
const refused = async (command) => {
  try {
    await client.send(command);
  } catch (error) {
    const type = sdk[error.name];
    return [error.name, error.$metadata?.httpStatusCode, Boolean(type && error instanceof type && error.message)];
  }
  return ['was not refused'];
};
const Code = { ZipFile: zip({ 'index.js': 'exports.handler = async () => 1;' }) };
const create = { FunctionName, Runtime: 'nodejs20.x', Handler: 'index.handler', Role: ROLE, Code };
await client.send(new sdk.CreateFunctionCommand(create));
const event = await client.send(new sdk.InvokeCommand({ FunctionName, InvocationType: 'Event', Payload: '{}' }));
const result = {
  missing: await refused(new sdk.GetFunctionCommand({ FunctionName: name('none') })),
  exists: await refused(new sdk.CreateFunctionCommand(create)),
  invalid: await refused(new sdk.UpdateFunctionCodeCommand({ FunctionName, ZipFile: Buffer.from('this is no zip') })),
  revision: await refused(new sdk.UpdateFunctionCodeCommand({ FunctionName, ZipFile: Code.ZipFile, RevisionId: '00000000-0000-0000-0000-000000000000' })),
  broken: await refused(new sdk.InvokeCommand({ FunctionName, Payload: '{"broken"' })),
  event: [event.StatusCode, event.Payload?.length ?? 0, event.ExecutedVersion ?? null],
};
await client.send(new sdk.DeleteFunctionCommand({ FunctionName }));
console.log(JSON.stringify(result));
