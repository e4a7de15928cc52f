import { initializeTransactionalContext, StorageDriver } from 'typeorm-transactional';
import { itKeepsSealedTenantsApart } from './support/typeorm-transactional-suite.js';

describe('typeorm-transactional, sealed', () => {
  initializeTransactionalContext({ storageDriver: StorageDriver.ASYNC_LOCAL_STORAGE });
  itKeepsSealedTenantsApart();
});
