import { Logger } from '@aws-lambda-powertools/logger';

const logger = new Logger({ serviceName: 'orders' });

export const handler = async (event, context) => {
  logger.addContext(context);
  logger.appendKeys({ order: event.order });
  logger.info('an order came', { items: event.items });
  try {
    throw new RangeError('too many items');
  } catch (error) {
    logger.error('could not be packed', error);
  }
  logger.debug('not at this level');
  return { logged: 2 };
};
