// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "kovos/text/benchmark.hpp"

namespace kovos::detail {

inline constexpr auto class_indices = [] {
  std::array<std::size_t, 201> all{};
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  return all;
}();

constexpr std::span<std::size_t const> class_range(std::size_t first, std::size_t count) {
  return std::span<std::size_t const>(class_indices).subspan(first, count);
}

/// Of floodnet: flooded buildings and roads.
inline constexpr std::size_t flooded_classes[] = {1, 3};

/// The data sets of MESS, with the names that its package asks for, not those of the publishers ("_official").
inline constexpr Benchmark mess_benchmarks[] = {
    {"mess_atlantis",
     "bicycle|boat|breakwater|bridge|building|bus|canal|car|cliff|culvert|cypress tree|dam|ditch|fence|"
     "fire hydrant|fjord|flood|glaciers|hot spring|lake|levee|lighthouse|mangrove|marsh|motorcycle|"
     "offshore platform|parking meter|person|pier|pipeline|pole|puddle|rapids|reservoir|river|river delta|road|"
     "sea|ship|shoreline|sidewalk|sky|snow|spillway|swimming pool|terrain|traffic sign|train|truck|umbrella|"
     "vegetation|wall|water tower|water well|waterfall|wetland",
     {}},
    {"mess_bdd100k",
     "road|sidewalk|building|wall|fence|pole|traffic light|traffic sign|vegetation|terrain|sky|person|rider|"
     "car|truck|bus|train|motorcycle|bicycle",
     {}},
    {"mess_chase_db1", "others|blood vessels", {}, class_range(1, 1)},
    {"mess_corrosion_cs",
     "others|steel with fair corrosion|steel with poor corrosion|steel with severe corrosion",
     {},
     class_range(1, 3)},
    {"mess_cryonuseg", "others|nuclei in cells", {}, class_range(1, 1)},
    {"mess_cub_200",
     "background|Black-footed Albatross|Laysan Albatross|Sooty Albatross|Groove billed Ani|Crested Auklet|"
     "Least Auklet|Parakeet Auklet|Rhinoceros Auklet|Brewer Blackbird|Red winged Blackbird|Rusty Blackbird|"
     "Yellow-headed Blackbird|Bobolink|Indigo Bunting|Lazuli Bunting|Painted Bunting|Cardinal|Spotted Catbird|"
     "Gray Catbird|Yellow-breasted Chat|Eastern Towhee|Chuck will Widow|Brandt Cormorant|Red-faced Cormorant|"
     "Pelagic Cormorant|Bronzed Cowbird|Shiny Cowbird|Brown Creeper|American Crow|Fish Crow|"
     "Black-billed Cuckoo|Mangrove Cuckoo|Yellow-billed Cuckoo|Gray-crowned Rosy-Finch|Purple Finch|"
     "Northern Flicker|Acadian Flycatcher|Great Crested Flycatcher|Least Flycatcher|Olive-sided Flycatcher|"
     "Scissor-tailed Flycatcher|Vermilion Flycatcher|Yellow-bellied Flycatcher|Frigatebird|Northern Fulmar|"
     "Gadwall|American Goldfinch|European Goldfinch|Boat-tailed Grackle|Eared Grebe|Horned Grebe|"
     "Pied-billed Grebe|Western Grebe|Blue Grosbeak|Evening Grosbeak|Pine Grosbeak|Rose-breasted Grosbeak|"
     "Pigeon Guillemot|California Gull|Glaucous-winged Gull|Heermann Gull|Herring Gull|Ivory Gull|"
     "Ring-billed Gull|Slaty-backed Gull|Western Gull|Anna Hummingbird|Ruby-throated Hummingbird|"
     "Rufous Hummingbird|Green Violetear|Long-tailed Jaeger|Pomarine Jaeger|Blue Jay|Florida Jay|Green Jay|"
     "Dark-eyed Junco|Tropical Kingbird|Gray Kingbird|Belted Kingfisher|Green Kingfisher|Pied Kingfisher|"
     "Ringed Kingfisher|White-breasted Kingfisher|Red-legged Kittiwake|Horned Lark|Pacific Loon|Mallard|"
     "Western Meadowlark|Hooded Merganser|Red-breasted Merganser|Mockingbird|Nighthawk|Clark Nutcracker|"
     "White-breasted Nuthatch|Baltimore Oriole|Hooded Oriole|Orchard Oriole|Scott Oriole|Ovenbird|"
     "Brown Pelican|White Pelican|Western Wood-Pewee|Sayornis|American Pipit|Whip-poor-Will|Horned Puffin|"
     "Common Raven|White-necked Raven|American Redstart|Geococcyx|Loggerhead Shrike|Great Grey Shrike|"
     "Baird Sparrow|Black-throated Sparrow|Brewer Sparrow|Chipping Sparrow|Clay-colored Sparrow|House Sparrow|"
     "Field Sparrow|Fox Sparrow|Grasshopper Sparrow|Harris Sparrow|Henslow Sparrow|Le Conte Sparrow|"
     "Lincoln Sparrow|Nelson Sharp-tailed Sparrow|Savannah Sparrow|Seaside Sparrow|Song Sparrow|Tree Sparrow|"
     "Vesper Sparrow|White-crowned Sparrow|White-throated Sparrow|Cape Glossy Starling|Bank Swallow|"
     "Barn Swallow|Cliff Swallow|Tree Swallow|Scarlet Tanager|Summer Tanager|Artic Tern|Black Tern|"
     "Caspian Tern|Common Tern|Elegant Tern|Forsters Tern|Least Tern|Green-tailed Towhee|Brown Thrasher|"
     "Sage Thrasher|Black-capped Vireo|Blue-headed Vireo|Philadelphia Vireo|Red-eyed Vireo|Warbling Vireo|"
     "White-eyed Vireo|Yellow-throated Vireo|Bay-breasted Warbler|Black-and-white Warbler|"
     "Black-throated Blue Warbler|Blue-winged Warbler|Canada Warbler|Cape May Warbler|Cerulean Warbler|"
     "Chestnut-sided Warbler|Golden-winged Warbler|Hooded Warbler|Kentucky Warbler|Magnolia Warbler|"
     "Mourning Warbler|Myrtle Warbler|Nashville Warbler|Orange-crowned Warbler|Palm Warbler|Pine Warbler|"
     "Prairie Warbler|Prothonotary Warbler|Swainson Warbler|Tennessee Warbler|Wilson Warbler|"
     "Worm-eating Warbler|Yellow Warbler|Northern Waterthrush|Louisiana Waterthrush|Bohemian Waxwing|"
     "Cedar Waxwing|American Three-toed Woodpecker|Pileated Woodpecker|Red-bellied Woodpecker|"
     "Red-cockaded Woodpecker|Red-headed Woodpecker|Downy Woodpecker|Bewick Wren|Cactus Wren|Carolina Wren|"
     "House Wren|Marsh Wren|Rock Wren|Winter Wren|Common Yellowthroat",
     {},
     class_range(1, 200)},
    {"mess_cwfid", "ground|crop seedling|weed", {}, class_range(1, 2)},
    {"mess_dark_zurich",
     "unlabeled|road|sidewalk|building|wall|fence|pole|traffic light|traffic sign|vegetation|terrain|sky|"
     "person|rider|car|truck|bus|train|motorcycle|bicycle",
     {},
     class_range(1, 19)},
    {"mess_deepcrack", "concrete or asphalt|crack", {}, class_range(1, 1)},
    {"mess_dram",
     "bird|boat|bottle|cat|chair|cow|dog|horse|person|potted-plant|sheep|background",
     {},
     class_range(0, 11)},
    {"mess_floodnet",
     "background|building-flooded|building-non-flooded|road-flooded|road-non-flooded|water|tree|vehicle|pool|"
     "grass",
     {},
     flooded_classes},
    {"mess_foodseg103",
     "background|candy|egg tart|french fries|chocolate|biscuit|popcorn|pudding|ice cream|cheese butter|cake|"
     "wine|milkshake|coffee|juice|milk|tea|almond|red beans|cashew|dried cranberries|soy|walnut|peanut|egg|"
     "apple|date|apricot|avocado|banana|strawberry|cherry|blueberry|raspberry|mango|olives|peach|lemon|pear|"
     "fig|pineapple|grape|kiwi|melon|orange|watermelon|steak|pork|chicken duck|sausage|fried meat|lamb|sauce|"
     "crab|fish|shellfish|shrimp|soup|bread|corn|hamburg|pizza|hanamaki baozi|wonton dumplings|pasta|noodles|"
     "rice|pie|tofu|eggplant|potato|garlic|cauliflower|tomato|kelp|seaweed|spring onion|rape|ginger|okra|"
     "lettuce|pumpkin|cucumber|white radish|carrot|asparagus|bamboo shoots|broccoli|celery stick|cilantro mint|"
     "snow peas|cabbage|bean sprouts|onion|pepper|green beans|French beans|king oyster mushroom|shiitake|"
     "enoki mushroom|oyster mushroom|white button mushroom|salad|other ingredients",
     {},
     class_range(1, 103)},
    {"mess_isaid",
     "others|boat|storage tank|baseball diamond|tennis court|basketball court|running track field|bridge|"
     "truck or bus|car|helicopter|swimming pool|traffic circle|soccer field|air plane|pier",
     {},
     class_range(1, 15)},
    {"mess_isprs_potsdam", "road|building|grass|tree|car|others", {}, class_range(0, 5)},
    {"mess_kvasir_instrument", "others|tool", {}, class_range(1, 1)},
    {"mess_mhp_v1",
     "others|hat|hair|sunglasses|upper clothes|skirt|pants|dress|belt|left shoe|right shoe|face|left leg|"
     "right leg|left arm|right arm|bag|scarf|torso skin",
     {},
     class_range(1, 18)},
    {"mess_paxray_lungs", "others|lung", {}, class_range(1, 1)},
    {"mess_paxray_mediastinum", "others|mediastinum", {}, class_range(1, 1)},
    {"mess_paxray_bones", "others|bones", {}, class_range(1, 1)},
    {"mess_paxray_diaphragm", "others|diaphragm", {}, class_range(1, 1)},
    {"mess_pst900", "background|fire extinguisher|backpack|drill|human", {}, class_range(1, 4)},
    {"mess_suim",
     "background (waterbody)|human diver|aquatic plants and sea-grass|wrecks and ruins|"
     "robots (auvs/rovs/instruments)|reefs and invertebrates|fish and vertebrates|sea-floor and rocks",
     {},
     class_range(1, 7)},
    {"mess_uavid", "others|building|road|tree|grass|moving car|parked car|humans", {}, class_range(1, 7)},
    {"mess_worldfloods", "land|water and flood|cloud", {}, class_range(1, 1)},
    {"mess_zerowaste", "background or trash|rigid plastic|cardboard|metal|soft plastic", {}, class_range(1, 4)},
};

}  // namespace kovos::detail
