// node parallel.mjs FUNCTION COUNT: COUNT calls, sixteen at a time, each checked.
import { LambdaClient, InvokeCommand } from '@aws-sdk/client-lambda';
import { text } from './common.mjs';

const [FunctionName, count] = [process.argv[2], Number(process.argv[3])];
const client = new LambdaClient({});
let next = 0, right = 0, wrong = 0;
await Promise.all(Array.from({ length: 16 }, async () => {
  for (let n = next++; n < count; n = next++) {
    const answer = await client.send(new InvokeCommand({ FunctionName, Payload: JSON.stringify({ n }) }));
    if (!answer.FunctionError && JSON.parse(text(answer.Payload)) === n * n) right += 1;
    else wrong += 1;
  }
}));
console.log(JSON.stringify({ right, wrong }));
