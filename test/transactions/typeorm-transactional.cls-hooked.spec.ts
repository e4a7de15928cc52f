import { initializeTransactionalContext, StorageDriver } from 'typeorm-transactional';
import { itWorksWithTypeOrmTransactional } from './support/typeorm-transactional-suite.js';

describe('typeorm-transactional with cls-hooked, its default', () => {
  initializeTransactionalContext({ storageDriver: StorageDriver.CLS_HOOKED });
  itWorksWithTypeOrmTransactional();
});
