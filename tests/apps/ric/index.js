'use strict';

// What the runtime interface client is to get right: arguments, context, errors, and one call after another.
let calls = 0;

exports.handler = async (event, context) => {
  calls += 1;
  if (event.fail) throw new RangeError(event.fail);
  if (event.sleep) await new Promise((done) => setTimeout(done, event.sleep));
  console.log('call', calls);
  return {
    calls, event, requestId: context.awsRequestId, arn: context.invokedFunctionArn, name: context.functionName,
    memory: context.memoryLimitInMB, client: context.clientContext, left: context.getRemainingTimeInMillis(),
    trace: process.env._X_AMZN_TRACE_ID, handler: process.env._HANDLER,
  };
};
