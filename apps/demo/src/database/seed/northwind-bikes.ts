import { task, type SeedWorkspace } from './seed-workspace.js';

const ANNA = 'Anna Lindqvist';
const MARCO = 'Marco Bianchi';
const PRIYA = 'Priya Raman';

/** A bicycle maker: shop floor, web shop and spring launch. */
export const northwindBikes: SeedWorkspace = {
  id: '0b1c5e9a-4d4e-4f6b-9a52-1d7e3c8f0001',
  name: 'Northwind Bikes',
  users: [
    { name: ANNA, email: 'anna@northwind.example', jobTitle: 'Head of product' },
    { name: MARCO, email: 'marco@northwind.example', jobTitle: 'Workshop lead' },
    { name: PRIYA, email: 'priya@northwind.example', jobTitle: 'Web developer' },
  ],
  tags: ['design', 'logistics', 'marketing', 'quality', 'supplier', 'urgent', 'web shop', 'workshop'],
  projects: [
    {
      name: 'Gravel 2 launch',
      description: 'The second generation of the gravel frame, from sample to showroom.',
      tasks: [
        task('Sign off the final frame geometry', 'done', 'high', -21, ANNA, ['design']),
        task('Fatigue test of the carbon fork', 'done', 'high', -12, MARCO, ['quality', 'workshop']),
        task('Order 400 wheel sets for the first run', 'done', 'normal', -9, MARCO, ['supplier']),
        task('Choose the two launch colours', 'done', 'normal', -6, ANNA, ['design', 'marketing']),
        task('Negotiate the shipping window with the yard', 'in_progress', 'high', 2, ANNA, [
          'logistics',
          'urgent',
        ]),
        task('Photograph the bike on the coast road', 'in_progress', 'normal', 4, PRIYA, ['marketing']),
        task('Build ten press samples', 'in_progress', 'high', 5, MARCO, ['workshop', 'urgent']),
        task('Write the assembly manual', 'in_progress', 'normal', 9, MARCO, ['quality']),
        task('Brief the dealers on sizes and stock', 'todo', 'normal', 11, ANNA, ['marketing']),
        task('Print the frame-size chart', 'todo', 'low', 14, null, ['marketing']),
        task('Book the test track for dealer day', 'todo', 'normal', 16, ANNA, []),
        task('Check the torque values of the new stem', 'todo', 'high', 3, MARCO, ['quality', 'workshop']),
        task('Agree on spare derailleur hangers', 'todo', 'low', 20, MARCO, ['supplier']),
        task('Plan the launch evening', 'todo', 'low', 28, PRIYA, ['marketing']),
      ],
    },
    {
      name: 'Web shop',
      description: 'Sell parts and book services online.',
      tasks: [
        task('Let customers filter parts by axle standard', 'done', 'normal', -15, PRIYA, ['web shop']),
        task('Show stock per store', 'done', 'high', -8, PRIYA, ['web shop', 'logistics']),
        task('Compress product photos', 'done', 'low', -4, PRIYA, ['web shop']),
        task('Accept payment by invoice for clubs', 'in_progress', 'normal', 6, PRIYA, ['web shop']),
        task('Fix the basket that forgets its vouchers', 'in_progress', 'high', 1, PRIYA, [
          'web shop',
          'urgent',
        ]),
        task('Translate the size guide into Italian', 'in_progress', 'low', 12, MARCO, ['design']),
        task('Service booking: choose store and time', 'todo', 'high', 8, PRIYA, ['web shop', 'workshop']),
        task('E-mail when a sold-out part is back', 'todo', 'normal', 18, PRIYA, ['web shop']),
        task('Return labels for parts', 'todo', 'normal', 15, null, ['logistics', 'web shop']),
        task('Product pages for the winter tyres', 'todo', 'normal', 7, ANNA, ['marketing', 'web shop']),
        task('Accessible contrast on the colour picker', 'todo', 'normal', 10, PRIYA, ['design', 'web shop']),
        task('Measure what people search and do not find', 'todo', 'low', null, ANNA, ['web shop']),
        task('Delivery estimate by postcode', 'todo', 'low', 30, null, ['logistics', 'web shop']),
      ],
    },
    {
      name: 'Workshop',
      description: 'Everything the six service bays need.',
      tasks: [
        task('Recalibrate the wheel truing stands', 'done', 'normal', -18, MARCO, ['workshop', 'quality']),
        task('Train two apprentices on hydraulic brakes', 'done', 'high', -10, MARCO, ['workshop']),
        task('Replace the parts washer', 'done', 'low', -3, MARCO, ['supplier', 'workshop']),
        task('Count the small parts store', 'in_progress', 'normal', 3, MARCO, ['logistics', 'workshop']),
        task('Recall check: seat posts of batch 88', 'in_progress', 'high', 0, MARCO, ['quality', 'urgent']),
        task('Ask three suppliers for brake pad prices', 'in_progress', 'normal', 5, ANNA, ['supplier']),
        task('Torque wrench inspection', 'todo', 'high', 2, MARCO, ['quality', 'workshop']),
        task('New lighting above bay four', 'todo', 'low', 25, null, ['workshop']),
        task('Bin for used lithium batteries', 'todo', 'high', 6, MARCO, ['quality']),
        task('Loan bikes: fit the new lights', 'todo', 'normal', 9, MARCO, ['workshop']),
        task('Spring service: extra shifts', 'todo', 'normal', 21, ANNA, ['workshop']),
        task('Label the shelves by axle standard', 'todo', 'low', null, null, ['workshop']),
        task('Write down how we bleed each brake', 'todo', 'normal', 19, MARCO, ['quality']),
      ],
    },
  ],
};
