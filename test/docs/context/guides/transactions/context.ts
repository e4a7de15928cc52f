export { ClsPluginTransactional, Transactional, TransactionHost } from '@nestjs-cls/transactional';
export { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
export { ClsModule } from 'nestjs-cls';
export {
  addTransactionalDataSource,
  initializeTransactionalContext,
  runOnTransactionCommit,
  StorageDriver,
} from 'typeorm-transactional';

export declare class Mails {
  send(invoiceId: number): Promise<void>;
}
