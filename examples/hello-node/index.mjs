// A first function: greets whoever the event names.
export const handler = async (event, context) => {
  console.log('greeting', event.name ?? 'nobody in particular');
  return {
    message: `Hello, ${event.name ?? 'world'}!`,
    runtime: `Node.js ${process.versions.node}`,
    requestId: context.awsRequestId,
  };
};
