export { Cron, CronExpression } from '@nestjs/schedule';
