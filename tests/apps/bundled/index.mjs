// Bundled into one file by esbuild, the SDK inside: nothing of the runtime's own is used.
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';

const client = new LambdaClient({});

export const handler = async (event) => {
  const answer = await client.send(new InvokeCommand({ FunctionName: event.callee, Payload: JSON.stringify(event.pass), LogType: 'Tail' }));
  return { status: answer.StatusCode, version: answer.ExecutedVersion, payload: JSON.parse(Buffer.from(answer.Payload).toString()), tail: Buffer.from(answer.LogResult, 'base64').toString().includes('REPORT') };
};
