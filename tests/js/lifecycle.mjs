// One function's life through the JavaScript SDK v3, with its waiters and paginator.
import {
  LambdaClient, CreateFunctionCommand, InvokeCommand, UpdateFunctionCodeCommand, UpdateFunctionConfigurationCommand, DeleteFunctionCommand, GetFunctionCommand,
  paginateListFunctions, waitUntilFunctionActiveV2, waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { STSClient, GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { ROLE, name, text, zip } from './common.mjs';

const client = new LambdaClient({}), FunctionName = name('j');
const wait = { client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 };
const result = {};

const created = await client.send(new CreateFunctionCommand({
  FunctionName, Runtime: 'nodejs20.x', Handler: 'index.handler', Role: ROLE,
  Code: { ZipFile: zip({ 'index.js': "exports.handler = async (event) => { if (event.fail) throw new TypeError('no'); return { echo: event }; };" }) },
}));
result.created = created.$metadata.httpStatusCode;
result.waited = (await waitUntilFunctionActiveV2(wait, { FunctionName })).state;

const call = async (event) => client.send(new InvokeCommand({ FunctionName, Payload: JSON.stringify(event) }));
result.first = JSON.parse(text((await call({ a: 'ü' })).Payload));
const failed = await call({ fail: true });
result.functionError = { FunctionError: failed.FunctionError, errorType: JSON.parse(text(failed.Payload)).errorType };

await client.send(new UpdateFunctionCodeCommand({ FunctionName, ZipFile: zip({ 'index.js': "exports.handler = async () => 'two';" }) }));
await waitUntilFunctionUpdatedV2(wait, { FunctionName });
await client.send(new UpdateFunctionConfigurationCommand({ FunctionName, Timeout: 9 }));
result.updated = (await waitUntilFunctionUpdatedV2(wait, { FunctionName })).state;
result.second = JSON.parse(text((await call({})).Payload));

result.listed = false;
for await (const page of paginateListFunctions({ client, pageSize: 5 }, {}))
  if (page.Functions.some((f) => f.FunctionName === FunctionName && f.Timeout === 9)) result.listed = true;

result.identity = (await new STSClient({}).send(new GetCallerIdentityCommand({}))).Arn;
result.deleted = (await client.send(new DeleteFunctionCommand({ FunctionName }))).$metadata.httpStatusCode;
result.afterwards = await client.send(new GetFunctionCommand({ FunctionName })).then(() => 'still there', (error) => error.name);
console.log(JSON.stringify(result));
