import { initializeTransactionalContext, StorageDriver } from 'typeorm-transactional';
import { itWorksWithTypeOrmTransactional } from './support/typeorm-transactional-suite.js';

describe('typeorm-transactional with AsyncLocalStorage', () => {
  initializeTransactionalContext({ storageDriver: StorageDriver.ASYNC_LOCAL_STORAGE });
  itWorksWithTypeOrmTransactional();
});
