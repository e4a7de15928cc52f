import { TenantContext } from 'nestjs-rls-tenants';
import { TenantJobs } from 'nestjs-rls-tenants/bullmq';

/** A processor in a process of its own, on the built package. */
const jobs = new TenantJobs({
  keys: [{ id: 'new', secret: 's'.repeat(32) }],
  tenantIdType: 'uuid',
});
const context = new TenantContext({ tenantIdType: 'uuid' });

export default jobs.processor(async (job) => {
  await job.updateData({ ...job.data, step: job.data.step + 1 });
  if (job.data.step < 3) throw new Error('again');
  return { context: context.current(), data: job.data };
});
